package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// writeDocs puts the tables into performance.md, each between its markers, and
// draws the plot beside it.
func writeDocs(dir string, all book) error {
	b := all.only("")
	if len(b) == 0 {
		return fmt.Errorf("nothing was measured yet; run make bench first")
	}
	file := filepath.Join(dir, "performance.md")
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	text := string(data)
	for name, block := range map[string]string{"figures": b.markdown(), "django": b.besideDjango(), "postgres": all.besideSQLite()} {
		begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		before, rest, ok := strings.Cut(text, begin)
		_, after, and := strings.Cut(rest, end)
		if !ok || !and {
			return fmt.Errorf("%s has no lines %q and %q to write between", file, strings.TrimSpace(begin), end)
		}
		text = before + begin + block + end + after
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "performance.svg"), []byte(b.draw()), 0o644)
}

// besideSQLite is the table of a server's databases, each beside the file of the
// same size, of what was measured on both.
func (b book) besideSQLite() string {
	var pairs book
	for _, f := range b.only(postgres) {
		for _, file := range b.only("") {
			if file.Size == f.Size {
				pairs = append(pairs, file)
			}
		}
		pairs = append(pairs, f)
	}
	if len(pairs) == 0 {
		return ""
	}
	rows := pairs.rows()
	var s strings.Builder
	for i, row := range rows {
		if i > 0 && row[len(row)-2] == "" {
			continue // of the file alone
		}
		fmt.Fprintf(&s, "| %s |\n", strings.Join(row[:len(row)-1], " | "))
		if i == 0 {
			s.WriteString("| --- | --- | ---: |" + strings.Repeat(" ---: |", len(row)-4) + "\n")
		}
	}
	return s.String()
}

// markdown is the table of all figures.
func (b book) markdown() string {
	var s strings.Builder
	last := b[len(b)-1]
	fmt.Fprintf(&s, "%s; %s\n\n", last.Machine, last.Date)
	for i, row := range b.rows() {
		fmt.Fprintf(&s, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			s.WriteString("| --- | --- | ---: |" + strings.Repeat(" ---: |", len(row)-3) + "\n")
		}
	}
	return s.String()
}

// django is what Django's admin takes for the same pages on the same sort of
// data: medians in milliseconds, at one and at five million rows. They were
// measured elsewhere and are not ours.
var django = []struct{ page, million, fiveMillion, ours string }{
	{"list", "3,543", "14,810", "list"},
	{"one filter", "579", "2,313 to 5,775", "one filter"},
	{"two filters", "1,196", "2,313 to 5,775", "two to four filters"},
	{"one day", "755", "2,166", "one day"},
	{"search", "2,695 to 3,881", "12,684 to 15,012", "search, common word"},
	{"one event", "7", "", "one event"},
}

// besideDjango is the table that compares.
func (b book) besideDjango() string {
	var s strings.Builder
	s.WriteString("| page, median in ms | Django's admin, 1M | 5M |")
	for _, f := range b {
		s.WriteString(" auditadmin, " + thousands(f.Size) + " |")
	}
	s.WriteString("\n| --- | ---: | ---: |" + strings.Repeat(" ---: |", len(b)) + "\n")
	for _, d := range django {
		fmt.Fprintf(&s, "| %s | %s | %s |", d.page, d.million, d.fiveMillion)
		for _, f := range b {
			cell := ""
			if fig, ok := f.get(d.ours); ok {
				cell = short(fig.P50)
			}
			s.WriteString(" " + cell + " |")
		}
		s.WriteString("\n")
	}
	return s.String()
}
