"""What each case needs: its settings and tables, timing, processes, and sound files."""
