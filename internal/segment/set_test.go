package segment

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSets: whether a set lists its rows, has a bit for each, or neither, what is
// made of two of them is what one look at each row makes.
func TestSets(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 1))
	for _, n := range []int{1, 63, 64, 65, 640, 4096, 4099} {
		var sets []Set
		var models [][]bool
		for _, density := range []float64{0, 0.0005, 0.01, 0.02, 0.3, 0.99, 0.9995, 1} {
			model, rows := make([]bool, n), []int{}
			for row := range model {
				if model[row] = r.Float64() < density; model[row] {
					rows = append(rows, row)
				}
			}
			if r.IntN(2) == 0 {
				slices.Reverse(rows) // Of takes them in any order
			}
			sets, models = append(sets, Of(n, rows...)), append(models, model)
		}
		lo, hi := r.IntN(n), 1+r.IntN(n)
		model := make([]bool, n)
		for row := lo; row < hi; row++ {
			model[row] = true
		}
		sets, models = append(sets, Range(n, lo, hi)), append(models, model)
		for i, a := range sets {
			checkSet(t, a, models[i])
			checkSet(t, a.Not(), combined(models[i], models[i], func(a, _ bool) bool { return !a }))
			for j, b := range sets {
				checkSet(t, a.And(b), combined(models[i], models[j], func(a, b bool) bool { return a && b }))
				checkSet(t, a.Or(b), combined(models[i], models[j], func(a, b bool) bool { return a || b }))
				checkSet(t, a.AndNot(b), combined(models[i], models[j], func(a, b bool) bool { return a && !b }))
			}
			checkSet(t, a, models[i]) // which none of it has changed
		}
	}
	if (Set{}).Has(0) || !(Set{}).Empty() {
		t.Error("the zero value marks something")
	}
}

func combined(a, b []bool, of func(a, b bool) bool) []bool {
	all := make([]bool, len(a))
	for i := range all {
		all[i] = of(a[i], b[i])
	}
	return all
}

func checkSet(t *testing.T, s Set, model []bool) {
	t.Helper()
	var want, got []int
	for row, in := range model {
		if in {
			want = append(want, row)
		}
		if s.Has(row) != in {
			t.Fatalf("of %d rows: Has(%d) is %t", len(model), row, !in)
		}
	}
	s.Each(func(row int) { got = append(got, row) })
	if !slices.Equal(got, want) || s.Count() != len(want) || s.Empty() != (len(want) == 0) || s.Len() != len(model) {
		t.Fatalf("of %d rows: Each gives %d, Count %d, Empty %t; want %d", len(model), len(got), s.Count(), s.Empty(), len(want))
	}
	next, previous := -1, -1
	for row := len(model) - 1; row >= 0; row-- {
		if model[row] {
			next = row
		}
		if got := s.Next(row); got != next {
			t.Fatalf("Next(%d) is %d, want %d", row, got, next)
		}
	}
	in := 0
	for row, marked := range model {
		if got := s.CountIn(0, row); got != in {
			t.Fatalf("CountIn(0, %d) is %d, want %d", row, got, in)
		}
		if marked {
			previous = row
			in++
		}
		if got := s.Previous(row); got != previous {
			t.Fatalf("Previous(%d) is %d, want %d", row, got, previous)
		}
		if got := s.CountIn(row, len(model)); got != len(want)-in+map[bool]int{true: 1}[marked] {
			t.Fatalf("CountIn(%d, end) is %d", row, got)
		}
	}
}
