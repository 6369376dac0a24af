"""What bodies look like in every file and picture: plain clothes, and colours where the clip shows none."""
