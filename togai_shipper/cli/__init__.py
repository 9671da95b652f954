"""The command line, ``togai-shipper``, made of the library's public API alone. It needs the extra ``cli``."""
