package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// figure is one thing that was measured at one size.
type figure struct {
	Name string `json:"name"`
	Unit string `json:"unit"` // "ms" of a class of pages, otherwise what Value is in
	Goal string `json:"goal,omitempty"`
	// Value is the figure; of a class of pages the 95th percentile.
	Value float64 `json:"value"`
	P50   float64 `json:"p50,omitempty"`
	N     int     `json:"n,omitempty"`
	// CPU is what one request costs the server on its cores, in ms on average:
	// unlike the time it takes, other work on the machine hardly changes it.
	CPU float64 `json:"cpu,omitempty"`
	// Slowest is the request that took longest, and Most how long in ms.
	Slowest string  `json:"slowest,omitempty"`
	Most    float64 `json:"most,omitempty"`
}

// figures are those of one size.
type figures struct {
	Size    int      `json:"size"`
	Engine  string   `json:"engine,omitempty"` // "" for SQLite
	Date    string   `json:"date"`
	Machine string   `json:"machine"`
	Figures []figure `json:"figures"`
}

// book is everything measured so far, by size.
type book []*figures

func readBook(file string) (book, error) {
	var b book
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return b, nil
}

func (b book) write(file string) error {
	data, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// postgres is the Engine of figures of a server's database.
const postgres = "PostgreSQL"

// of returns the figures of a size on an engine, to be added to.
func (b *book) of(size int, engine string) *figures {
	for _, f := range *b {
		if f.Size == size && f.Engine == engine {
			return f
		}
	}
	f := &figures{Size: size, Engine: engine}
	*b = append(*b, f)
	slices.SortFunc(*b, func(x, y *figures) int { return cmp.Or(cmp.Compare(x.Engine, y.Engine), cmp.Compare(x.Size, y.Size)) })
	return f
}

// only returns the figures of one engine, by size.
func (b book) only(engine string) book {
	return slices.DeleteFunc(slices.Clone(b), func(f *figures) bool { return f.Engine != engine })
}

// add notes a figure, in the place of an older one of that name.
func (f *figures) add(fig figure) {
	if fig.Unit == "ms" && fig.P50 > 0 {
		fmt.Fprintf(os.Stderr, "  %-44s p50 %7.1f  p95 %7.1f ms  %s", fig.Name, fig.P50, fig.Value, fig.goal())
		if fig.CPU > 0 {
			fmt.Fprintf(os.Stderr, "  cpu %.1f", fig.CPU)
		}
		fmt.Fprintln(os.Stderr)
	} else {
		fmt.Fprintf(os.Stderr, "  %-44s %s %s  %s\n", fig.Name, short(fig.Value), fig.Unit, fig.goal())
	}
	for i := range f.Figures {
		if f.Figures[i].Name == fig.Name {
			f.Figures[i] = fig
			return
		}
	}
	f.Figures = append(f.Figures, fig)
}

func (f figure) goal() string {
	if f.Goal == "" {
		return ""
	}
	return "(goal " + f.Goal + ")"
}

func (f *figures) get(name string) (figure, bool) {
	for _, fig := range f.Figures {
		if fig.Name == name {
			return fig, true
		}
	}
	return figure{}, false
}

// names returns what was measured at any size, in the order of measuring.
func (b book) names() []figure {
	var all []figure
	for i := len(b) - 1; i >= 0; i-- { // the largest has everything
		for _, fig := range b[i].Figures {
			if strings.HasPrefix(fig.Name, late) {
				continue // they are compared in one figure
			}
			if !slices.ContainsFunc(all, func(f figure) bool { return f.Name == fig.Name }) {
				all = append(all, fig)
			}
		}
	}
	return all
}

// ratio is the largest size's figure over the smallest size's, NaN where there
// are not two.
func (b book) ratio(name string) float64 {
	if len(b) < 2 || b[0].Engine != b[len(b)-1].Engine {
		return math.NaN()
	}
	first, ok := b[0].get(name)
	last, and := b[len(b)-1].get(name)
	if !ok || !and || first.Value == 0 {
		return math.NaN()
	}
	return last.Value / first.Value
}

// rows returns the table: a head, and a row for each figure.
func (b book) rows() [][]string {
	head := []string{"what", "unit", "goal"}
	for _, f := range b {
		head = append(head, strings.TrimSpace(thousands(f.Size)+" "+f.Engine))
	}
	head = append(head, "ratio")
	rows := [][]string{head}
	for _, fig := range b.names() {
		unit := fig.Unit
		if fig.P50 > 0 {
			unit = "ms, p50 / p95 (cpu)"
		}
		row := []string{fig.Name, unit, fig.Goal}
		for _, f := range b {
			cell := ""
			if at, ok := f.get(fig.Name); ok {
				cell = short(at.Value)
				if at.P50 > 0 {
					cell = short(at.P50) + " / " + cell
					if at.CPU > 0 {
						cell += " (" + short(at.CPU) + ")"
					}
				}
			}
			row = append(row, cell)
		}
		ratio := ""
		if r := b.ratio(fig.Name); !math.IsNaN(r) {
			ratio = strconv.FormatFloat(r, 'f', 2, 64)
		}
		rows = append(rows, append(row, ratio))
	}
	return rows
}

func (b book) print(w io.Writer) {
	rows := b.rows()
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			if i < 3 {
				fmt.Fprint(w, cell+pad+"  ")
			} else {
				fmt.Fprint(w, pad+cell+"  ")
			}
		}
		fmt.Fprintln(w)
	}
}

// timing turns durations into a figure of a class.
func timing(name, goal string, took []time.Duration) figure {
	slices.Sort(took)
	return figure{Name: name, Unit: "ms", Goal: goal, N: len(took), P50: percentile(took, 50), Value: percentile(took, 95), Most: percentile(took, 100)}
}

// percentile returns, of sorted durations, the one that so many percent do not
// exceed, in milliseconds.
func percentile(took []time.Duration, share int) float64 {
	if len(took) == 0 {
		return 0
	}
	return milliseconds(took[min(len(took)-1, len(took)*share/100)])
}

func milliseconds(d time.Duration) float64 { return math.Round(float64(d.Microseconds())/10) / 100 }

// short writes a number with three digits or so.
func short(v float64) string {
	switch {
	case v >= 1000:
		return thousands(int(math.Round(v)))
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

// thousands writes 1234567 as 1,234,567.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
