"""Integrations, one module for each framework, which it imports when it is used."""
