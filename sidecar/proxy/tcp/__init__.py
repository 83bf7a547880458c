"""The TCP data path: an app's connection, an instance's, and the bytes between them as they are."""
