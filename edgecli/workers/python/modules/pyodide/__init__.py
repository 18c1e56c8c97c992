"""What Workers use of Pyodide, without Pyodide."""

__version__ = "0.28.3"
