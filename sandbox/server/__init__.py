"""The sandbox as a process: its folder, its parts put together, and the commands that start and stop it."""
