"""`python -m dlcli`: the command line, where the script `dlcli` is not on the path."""

from dlcli.cli.app import main

if __name__ == "__main__":
    main()
