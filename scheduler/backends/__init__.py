"""Places where lessons run, behind one contract (``base``), chosen by ``SYRINGE_BACKEND``."""
