"""Start a project from a template."""
