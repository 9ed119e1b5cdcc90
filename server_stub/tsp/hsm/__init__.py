"""The TSP's hardware security module (HSM), as a program: keys, PINs and tracks are in clear in here and nowhere else.

``module`` has the commands; ``keys`` the key blocks, as which alone keys stand outside; ``envelope`` what a box sends.
"""
