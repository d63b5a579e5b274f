package main

import (
	"bufio"
	"io"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// table is rows under headings, aligned, for a terminal or a pipe.
type table struct {
	rows [][]string // the headings first
	// fit is how many columns the last one is cut to fit into; 0 cuts nothing.
	fit int
}

func newTable(headings ...string) *table { return &table{rows: [][]string{headings}} }

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// write prints the table. Nothing in a cell can do more than be read.
func (t *table) write(w io.Writer) error {
	widths := make([]int, len(t.rows[0]))
	for _, row := range t.rows {
		for i := range row {
			row[i] = printable(row[i])
			widths[i] = max(widths[i], columns(row[i]))
		}
	}
	out := bufio.NewWriter(w)
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			if i < len(row)-1 {
				line.WriteString(strings.Repeat(" ", widths[i]-columns(cell)+2))
			}
		}
		out.WriteString(fitted(strings.TrimRight(line.String(), " "), t.fit))
		out.WriteByte('\n')
	}
	return out.Flush()
}

// printable shows what a terminal would obey, or what would hide text, as marks.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == unicode.ReplacementChar:
			return '·'
		}
		return r
	}, s)
}

// columns is how wide a text stands on a terminal.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

func runeColumns(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// fitted cuts a line to a number of columns; 0 cuts nothing.
func fitted(s string, limit int) string {
	if limit <= 0 || columns(s) <= limit {
		return s
	}
	n := 0
	for i, r := range s {
		if n += runeColumns(r); n > limit-1 {
			return s[:i] + "…"
		}
	}
	return s
}
