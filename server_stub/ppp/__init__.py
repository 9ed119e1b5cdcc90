"""PPP, the payment platform that terminals are signed in to, and the issuer behind it."""
