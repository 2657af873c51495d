"""The admin API of a server, for tests of clients."""
