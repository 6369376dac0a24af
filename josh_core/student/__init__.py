"""JOSH3R-lite: a small network from landmarks to pose and contact, its training and its use (docs/STUDENT.md)."""
