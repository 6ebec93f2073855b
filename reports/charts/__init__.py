"""One function per chart: tidy data in, figure out. `catalogue` lists them with captions and alternatives."""
