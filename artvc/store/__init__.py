"""This disk: packs, the ref log, caches.  Only ``fsio`` writes below ``.artvc``."""
