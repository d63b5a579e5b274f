package segment

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/auditadmin/auditadmin/internal/query"
)

// BenchmarkSegment is what one full segment costs a page: marking a value and
// counting the words of the marked rows. Ten million events are 153 of them.
//
//	go test -run - -bench Segment ./internal/segment
func BenchmarkSegment(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	zipf := func(words int) func() string {
		z := rand.NewZipf(r, 1.2, 4, uint64(words-1))
		return func() string { return fmt.Sprint("word", z.Uint64()) }
	}
	layout := Layout{Texts: []Text{{Name: "action"}, {Name: "module"}, {Name: "user"}, {Name: "object"}, {Name: "request"}}}
	words := []func() string{zipf(11), zipf(60), zipf(3000), zipf(200_000), zipf(40_000)}
	builder := NewBuilder(layout)
	for i := range int64(MaxRows) {
		builder.Add(i*5_000_000<<idBits, i+1, i*5_000_000)
		for c, word := range words {
			builder.Text(c, []byte(word()))
		}
	}
	s := builder.Build()
	for _, share := range []int{1000, 100, 20, 5} {
		var seqs []int64
		for seq := range int64(MaxRows) {
			if r.IntN(share) == 0 {
				seqs = append(seqs, seq+1)
			}
		}
		b.Run(fmt.Sprintf("by seq/one of %d", share), func(b *testing.B) {
			for b.Loop() {
				s.BySeq(seqs)
			}
		})
	}
	for c, t := range layout.Texts {
		values := []query.Value{{Text: s.Column(c).Text(7), Exact: true}}
		b.Run("mark/"+t.Name, func(b *testing.B) {
			for b.Loop() {
				s.Column(c).Match(values)
			}
		})
		for _, share := range []int{1, 10, 45, 100} {
			set := All(MaxRows)
			if share < 100 {
				var rows []int
				for row := range MaxRows {
					if r.IntN(100) < share {
						rows = append(rows, row)
					}
				}
				set = Of(MaxRows, rows...)
			}
			counts := make([]uint32, s.Column(c).Words())
			b.Run(fmt.Sprintf("count/%s/%d%%", t.Name, share), func(b *testing.B) {
				for b.Loop() {
					s.Column(c).Count(set, counts)
				}
			})
		}
	}
}
