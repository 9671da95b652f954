"""A stand-in for Togai on loopback. Its public face is ``togai_shipper.testing``."""
