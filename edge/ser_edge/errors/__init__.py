"""What a user is told when something is wrong: exceptions with exit codes, warnings, and commands that mend it."""
