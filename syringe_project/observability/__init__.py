"""How Syringe can be watched: logs and error reports."""
