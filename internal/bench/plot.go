package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// panel is one chart of the plot: figures by the size of the database.
type panel struct {
	title  string
	lines  []string // names of figures, also the names of the lines
	log    bool     // both axes: a line that stays flat costs no more with size
	left   float64
	lowest float64 // of the upright axis
}

// The plot, in its own units. Colours follow the reader's setting: it is shown
// as an image, which knows no other.
const (
	plotWidth, plotHeight = 960.0, 400.0
	chartTop, chartBottom = 62.0, 348.0
	chartWidth            = 250.0
)

const plotStyle = `
	text { font: 12px system-ui, "Segoe UI", Roboto, sans-serif; fill: #57606a; }
	.title { font-size: 14px; font-weight: 600; fill: #1f2328; }
	.grid { stroke: #d8dee4; stroke-width: 1; }
	.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
	.c0 { stroke: #0969da; } .c1 { stroke: #bf3989; } .c2 { stroke: #1a7f37; } .c3 { stroke: #bc4c00; } .c4 { stroke: #8250df; } .c5 { stroke: #6e7781; }
	.d0 { fill: #0969da; } .d1 { fill: #bf3989; } .d2 { fill: #1a7f37; } .d3 { fill: #bc4c00; } .d4 { fill: #8250df; } .d5 { fill: #6e7781; }
	@media (prefers-color-scheme: dark) {
		text { fill: #9198a1; }
		.title { fill: #f0f6fc; }
		.grid { stroke: #3d444d; }
		.c0 { stroke: #4493f8; } .c1 { stroke: #db61a2; } .c2 { stroke: #3fb950; } .c3 { stroke: #f0883e; } .c4 { stroke: #ab7df8; } .c5 { stroke: #9198a1; }
		.d0 { fill: #4493f8; } .d1 { fill: #db61a2; } .d2 { fill: #3fb950; } .d3 { fill: #f0883e; } .d4 { fill: #ab7df8; } .d5 { fill: #9198a1; }
	}
`

// draw returns the plot as SVG: how long pages take, and how fast events are
// appended, from the smallest database to the largest.
func (b book) draw() string {
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" role="img" aria-label="Latency of pages and rate of appends by the number of audit logs">`+"\n<style>%s</style>\n", plotWidth, plotHeight, plotStyle)
	for _, p := range []panel{
		{title: "Pages over HTTP, 95 % within … ms", left: 56, log: true, lowest: 1,
			lines: []string{"search, common word", "all facets, no filter", "two to four filters", "list", "overview", "one event"}},
		{title: "Append, events a second", left: 556,
			lines: []string{"append in batches of 1,000, durable", "append by 64 callers, one event each", "the same until all of it is indexed"}},
	} {
		b.chart(&s, p)
	}
	s.WriteString("</svg>\n")
	return s.String()
}

// chart draws one panel.
func (b book) chart(s *strings.Builder, p panel) {
	top := p.lowest
	for _, name := range p.lines {
		for _, f := range b {
			if fig, ok := f.get(name); ok {
				top = max(top, fig.Value)
			}
		}
	}
	if top == 0 {
		return // nothing of it was measured
	}
	var ticks []float64
	if p.log {
		for decade := p.lowest; decade <= top*1.2; decade *= 10 {
			ticks = append(ticks, decade, 2*decade, 5*decade)
		}
		for len(ticks) > 1 && ticks[len(ticks)-2] >= top {
			ticks = ticks[:len(ticks)-1]
		}
	} else {
		step := math.Pow(10, math.Floor(math.Log10(max(top, 1))))
		for top/step < 4 {
			step /= 2
		}
		for v := 0.0; v < top+step; v += step {
			ticks = append(ticks, v)
		}
	}
	low, high := ticks[0], ticks[len(ticks)-1]
	y := func(v float64) float64 {
		share := (v - low) / (high - low)
		if p.log {
			share = math.Log(max(v, low)/low) / math.Log(high/low)
		}
		return chartBottom - share*(chartBottom-chartTop)
	}
	first, last := math.Log10(float64(b[0].Size)), math.Log10(float64(b[len(b)-1].Size))
	x := func(size int) float64 {
		if first == last {
			return p.left + chartWidth/2
		}
		return p.left + (math.Log10(float64(size))-first)/(last-first)*chartWidth
	}

	fmt.Fprintf(s, `<text class="title" x="%g" y="32">%s</text>`+"\n", p.left-36, p.title)
	for _, v := range ticks {
		fmt.Fprintf(s, `<line class="grid" x1="%g" x2="%g" y1="%.1f" y2="%.1f"/><text x="%g" y="%.1f" text-anchor="end">%s</text>`+"\n",
			p.left, p.left+chartWidth, y(v), y(v), p.left-8, y(v)+4, tick(v))
	}
	for _, f := range b {
		fmt.Fprintf(s, `<text x="%.1f" y="%g" text-anchor="middle">%s</text>`+"\n", x(f.Size), chartBottom+22, tick(float64(f.Size)))
	}
	fmt.Fprintf(s, `<text x="%g" y="%g" text-anchor="middle">audit logs</text>`+"\n", p.left+chartWidth/2, chartBottom+40)

	type label struct {
		text string
		nth  int
		at   float64
	}
	var labels []label
	for i, name := range p.lines {
		var points []string
		end := 0.0
		for _, f := range b {
			if fig, ok := f.get(name); ok {
				end = y(fig.Value)
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(f.Size), end))
				fmt.Fprintf(s, `<circle class="d%d" cx="%.1f" cy="%.1f" r="3"/>`, i, x(f.Size), end)
			}
		}
		if len(points) == 0 {
			continue
		}
		fmt.Fprintf(s, `<polyline class="line c%d" points="%s"/>`+"\n", i, strings.Join(points, " "))
		labels = append(labels, label{name, i, end})
	}
	// Each line bears its name at its end; names that would overlap move down.
	slices.SortStableFunc(labels, func(a, b label) int { return cmp.Compare(a.at, b.at) })
	for i := 1; i < len(labels); i++ {
		labels[i].at = max(labels[i].at, labels[i-1].at+15)
	}
	for _, l := range labels {
		text := strings.TrimSuffix(strings.TrimPrefix(l.text, "append "), ", durable")
		fmt.Fprintf(s, `<text class="d%d" x="%g" y="%.1f">%s</text>`+"\n", l.nth, p.left+chartWidth+10, l.at+4, text)
	}
}

// tick writes a round number briefly: 10M, 100k, 5.
func tick(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%g", v)
}
