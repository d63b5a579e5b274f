package main

func writeDocs(dir string, b book) error { return nil }
