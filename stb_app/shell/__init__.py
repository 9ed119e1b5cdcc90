"""The television around the screens: window, loop, navigator, remote keys, sound, web remote."""
