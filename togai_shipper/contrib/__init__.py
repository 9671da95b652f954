"""At home where its users live: a module for each, which imports its framework when it is used."""
