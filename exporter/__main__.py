"""`python -m exporter` is the console script."""

from exporter.cli.start import main

if __name__ == "__main__":
    main()
