"""stb_app."""
