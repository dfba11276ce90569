"""The tests under what other machines have: processors, users, locales, orders (`make test-variations`)."""
