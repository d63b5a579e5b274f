package segment

import (
	"cmp"
	"net/netip"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/auditadmin/auditadmin/internal/query"
)

// words are the distinct texts of a column in one segment, in the order of their
// folded form, so that what begins alike stands together; of a column of
// addresses, in the order of the addresses, so that a network stands together.
// A word's place is its code.
type words struct {
	addresses bool
	ends      []uint32 // of each word, in bytes
	bytes     []byte
}

func (w *words) len() int { return len(w.ends) }

// at returns a word. It is good as long as the segment is.
func (w *words) at(code int) string {
	from := uint32(0)
	if code > 0 {
		from = w.ends[code-1]
	}
	b := w.bytes[from:w.ends[code]]
	return unsafe.String(unsafe.SliceData(b), len(b))
}

func (w *words) add(text string) {
	w.bytes = append(w.bytes, text...)
	w.ends = append(w.ends, uint32(len(w.bytes)))
}

// order is the order of words.
func (w *words) order(a, b string) int {
	if w.addresses {
		x, _ := netip.ParseAddr(a)
		y, _ := netip.ParseAddr(b)
		return cmp.Or(x.Compare(y), strings.Compare(a, b))
	}
	if c := compareFolded(a, query.Fold(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// compareFolded compares the folded form of a text with a folded text.
func compareFolded(text, folded string) int {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c >= utf8.RuneSelf {
			return strings.Compare(query.Fold(text), folded)
		}
		if i == len(folded) {
			if strings.IndexFunc(text[i:], func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
				return strings.Compare(query.Fold(text), folded)
			}
			return 1
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != folded[i] {
			if strings.IndexFunc(text[i:], func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
				return strings.Compare(query.Fold(text), folded)
			}
			return cmp.Compare(c, folded[i])
		}
	}
	return cmp.Compare(len(text), len(folded))
}

// span is the codes from lo to hi, hi not included.
type span struct{ lo, hi int }

func (w *words) search(from int, beyond func(text string) bool) int {
	return from + sort.Search(w.len()-from, func(i int) bool { return beyond(w.at(from + i)) })
}

// find returns the code of a text.
func (w *words) find(text string) (int, bool) {
	var at int
	if w.addresses {
		at = w.search(0, func(t string) bool { return w.order(t, text) >= 0 })
	} else {
		folded := query.Fold(text)
		at = w.search(0, func(t string) bool {
			c := compareFolded(t, folded)
			return c > 0 || c == 0 && t >= text
		})
	}
	return at, at < w.len() && w.at(at) == text
}

// match returns the codes of the words that a value means. The empty value
// means the empty word.
func (w *words) match(v query.Value) []span {
	one := func(code int, ok bool) []span {
		if !ok {
			return nil
		}
		return []span{{code, code + 1}}
	}
	switch {
	case v.Exact:
		return one(w.find(v.Text))
	case v.Text == "" && !v.Prefix && !v.Net.IsValid():
		return one(w.find(""))
	case w.addresses && v.Net.IsValid():
		first := v.Net.Masked().Addr()
		addr := func(t string) netip.Addr { a, _ := netip.ParseAddr(t); return a }
		lo := w.search(0, func(t string) bool { return addr(t).Compare(first) >= 0 })
		hi := w.search(lo, func(t string) bool { return !v.Net.Contains(addr(t)) })
		return []span{{lo, hi}}
	case w.addresses:
		var all []span
		for code := range w.len() {
			folded := query.Fold(w.at(code))
			if folded == v.Folded || v.Prefix && folded != "" && strings.HasPrefix(folded, v.Folded) {
				all = append(all, span{code, code + 1})
			}
		}
		return all
	}
	lo := w.search(0, func(t string) bool { return compareFolded(t, v.Folded) >= 0 })
	if v.Prefix {
		hi := w.search(lo, func(t string) bool { return !strings.HasPrefix(query.Fold(t), v.Folded) })
		if lo < hi && w.at(lo) == "" {
			lo++ // "starts with" asks for something that does
		}
		return []span{{lo, hi}}
	}
	hi := lo // words that differ in case alone are few
	for hi < w.len() && compareFolded(w.at(hi), v.Folded) == 0 {
		hi++
	}
	return []span{{lo, hi}}
}

// sorted makes words of distinct texts, and says for each text its code.
func sorted(texts []string, addresses bool) (words, []uint32) {
	w := words{addresses: addresses}
	type keyed struct {
		folded string
		addr   netip.Addr
		at     uint32
	}
	all := make([]keyed, len(texts))
	size := 0
	for i, t := range texts {
		all[i].at = uint32(i)
		if addresses {
			all[i].addr, _ = netip.ParseAddr(t)
		} else {
			all[i].folded = query.Fold(t)
		}
		size += len(t)
	}
	slices.SortFunc(all, func(a, b keyed) int {
		if addresses {
			return cmp.Or(a.addr.Compare(b.addr), strings.Compare(texts[a.at], texts[b.at]))
		}
		return cmp.Or(strings.Compare(a.folded, b.folded), strings.Compare(texts[a.at], texts[b.at]))
	})
	w.bytes, w.ends = make([]byte, 0, size), make([]uint32, 0, len(texts))
	codes := make([]uint32, len(texts))
	for code, k := range all {
		codes[k.at] = uint32(code)
		w.add(texts[k.at])
	}
	return w, codes
}

// mergeWords makes one of two, and says for the codes of each their new ones.
func mergeWords(a, b *words) (w words, ofA, ofB []uint32) {
	w.addresses = a.addresses
	w.bytes, w.ends = make([]byte, 0, len(a.bytes)+len(b.bytes)), make([]uint32, 0, a.len()+b.len())
	ofA, ofB = make([]uint32, a.len()), make([]uint32, b.len())
	for i, j := 0, 0; i < a.len() || j < b.len(); {
		c := 0
		switch {
		case i == a.len():
			c = 1
		case j == b.len():
			c = -1
		default:
			c = w.order(a.at(i), b.at(j))
		}
		code := uint32(w.len())
		if c <= 0 {
			w.add(a.at(i))
			ofA[i] = code
			i++
		}
		if c >= 0 {
			if c > 0 {
				w.add(b.at(j))
			}
			ofB[j] = code
			j++
		}
	}
	return w, ofA, ofB
}
