"""What a component must be, one kind per file, and the types that cross rooms. Re-exported lazily by `dlcli`."""
