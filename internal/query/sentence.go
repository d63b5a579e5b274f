package query

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Sentence says the filter as the headline of its list: "Updates and deletions
// by alice or bob, outside auth, in the last 30 days, that mention “gift card”".
// Times in it are in the filter's zone. It is text, not HTML.
func (f *Filter) Sentence() string {
	if len(f.Terms) == 0 {
		return "All " + f.Kind.Plural()
	}
	s := f.newSpeech(false)
	return upperFirst(s.text())
}

// EmptySentence says that nothing was found: "Nothing: no deletion by alice
// mentions “gift card”".
func (f *Filter) EmptySentence() string {
	if len(f.Terms) == 0 {
		return "No " + f.Kind.Plural() + " yet"
	}
	s := f.newSpeech(true)
	return "Nothing: no " + s.text()
}

// Phrase says term i alone: "by alice or bob", "outside auth". It panics if
// there is no term i.
func (f *Filter) Phrase(i int) string {
	t := f.Terms[i]
	if t.Field.Class == ClassState && len(t.Values) == 1 {
		return "only " + t.state() + " ones"
	}
	return f.phrase(t)
}

// speech is a sentence that is being put together: the subject, and the phrases
// after it.
type speech struct {
	filter   *Filter
	singular bool // "no deletion … mentions" instead of "deletions … that mention"
	subject  string
	specific bool // the subject names what was done, so it is done "of" an object
	comma    bool // the subject needs a comma after it
	said     []bool
	phrases  []phrase
}

// phrase is one part of a sentence. Its rank is its place.
type phrase struct {
	rank  int
	text  string
	comma bool // a comma stands before it wherever anything else does
}

// The places of phrases. Within a place, the order of the query stays.
const (
	rankObject   = iota // of shop.order
	rankUser            // by alice
	rankPlace           // in shop, from 10.0.0.0/8, of more than 1,000 rows
	rankNot             // outside auth
	rankTime            // in the last 30 days
	rankRecorded        // recorded since 1 March 2026
	rankWhose           // whose reason contains “x”
	rankMention         // that mention “gift card”
)

func (f *Filter) newSpeech(singular bool) *speech {
	s := &speech{filter: f, singular: singular, said: make([]bool, len(f.Terms))}
	s.sayKind()
	s.sayObject()
	s.sayNumbers()
	s.sayTime()
	s.sayText()
	for i, t := range f.Terms {
		if !s.said[i] {
			rank, comma := rankOf(t)
			s.say(rank, f.phrase(t), comma, i)
		}
	}
	return s
}

func (s *speech) say(rank int, text string, comma bool, terms ...int) {
	for _, i := range terms {
		s.said[i] = true
	}
	s.phrases = append(s.phrases, phrase{rank, text, comma})
}

func rankOf(t Term) (rank int, comma bool) {
	switch {
	case t.Field.Class == ClassText:
		return rankWhose, true
	case t.Field.Key == "recorded":
		return rankRecorded, true
	case t.Field.Class == ClassTime:
		return rankTime, t.Not
	case t.Not:
		return rankNot, true
	case t.Field.Key == "type", t.Field.Key == "object", t.Field.Key == "export":
		return rankObject, false
	case t.Field.Key == "user":
		return rankUser, false
	}
	return rankPlace, false
}

const (
	manyPhrases = 5 // so many need commas between them to be read
	maxPhrases  = 8 // more are counted
)

func (s *speech) text() string {
	slices.SortStableFunc(s.phrases, func(a, b phrase) int { return a.rank - b.rank })
	if over := len(s.phrases) - maxPhrases; over > 1 {
		last := s.phrases[len(s.phrases)-1]
		s.phrases = append(s.phrases[:maxPhrases-1], phrase{rankWhose, "under " + strconv.Itoa(over) + " more conditions", true}, last)
	}
	var b strings.Builder
	b.WriteString(s.subject)
	comma := s.comma
	for i, p := range s.phrases {
		// A comma opens what the sentence could do without; from there on, each
		// phrase needs one.
		if i > 0 && (p.comma || len(s.phrases) >= manyPhrases) || strings.HasPrefix(p.text, "only ") || strings.HasPrefix(p.text, "except ") {
			comma = true
		}
		if comma {
			b.WriteByte(',')
		}
		b.WriteByte(' ')
		b.WriteString(p.text)
	}
	return b.String()
}

// one returns the only term of a key with the given sign, and its index.
func (s *speech) one(key string, not bool) (Term, int, bool) {
	found := -1
	for i, t := range s.filter.Terms {
		if t.Field.Key == key && t.Not == not {
			if found >= 0 {
				return Term{}, 0, false
			}
			found = i
		}
	}
	if found < 0 {
		return Term{}, 0, false
	}
	return s.filter.Terms[found], found, true
}

// sayObject joins a type with an object: of shop.order 42.
func (s *speech) sayObject() {
	preposition := "on "
	if s.specific {
		preposition = "of "
	}
	t, i, isType := s.one("type", false)
	o, j, isObject := s.one("object", false)
	if isType && isObject && len(t.Values) == 1 && len(o.Values) == 1 && !hasEmpty(t) && !hasEmpty(o) {
		s.say(rankObject, preposition+show(t.Values[0])+" "+show(o.Values[0]), false, i, j)
		return
	}
	for n, t := range s.filter.Terms {
		if key := t.Field.Key; key == "type" || key == "object" {
			rank, comma := rankOf(t)
			text := s.filter.phrase(t)
			if s.specific {
				text = ofWhat(text)
			}
			s.say(rank, text, comma, n)
		}
	}
}

// ofWhat turns "on shop.order" into "of shop.order".
func ofWhat(text string) string {
	for _, on := range []string{"on ", "not on "} {
		if rest, ok := strings.CutPrefix(text, on); ok {
			return strings.Replace(on, "on", "of", 1) + rest
		}
	}
	return text
}

// sayNumbers joins the numbers of a field: of at least 10 rows and fewer than
// 50 rows.
func (s *speech) sayNumbers() {
	// "of orders of more than 1,000 rows" has one "of" too many.
	preposition := "of "
	if _, _, ok := s.one("export", false); ok {
		preposition = "with "
	}
	for _, key := range []string{"rows", "size"} {
		var amounts []string
		var terms []int
		for i, t := range s.filter.Terms {
			if t.Field.Key == key && !t.Not && !hasEmpty(t) {
				amounts, terms = append(amounts, s.filter.values(t, "or")), append(terms, i)
			}
		}
		if terms != nil {
			s.say(rankPlace, preposition+list(amounts, "and"), preposition == "with ", terms...)
		}
	}
}

// sayTime joins a beginning with an end: from 1 to 31 March 2026.
func (s *speech) sayTime() {
	a, i, isAfter := s.one("after", false)
	b, j, isBefore := s.one("before", false)
	if !isAfter || !isBefore || len(a.Values) != 1 || len(b.Values) != 1 {
		return
	}
	f := s.filter
	start := time.UnixMicro(a.Values[0].Lo).In(f.zone())
	end := time.UnixMicro(b.Values[0].Hi).In(f.zone())
	if !start.Before(end) {
		return // nothing lies between, so each is said as it stands
	}
	last := end.Add(-time.Microsecond)
	if grainOf(a.Values[0].Text) > byDay || grainOf(b.Values[0].Text) > byDay {
		text := "from " + f.moment(start) + " until " + f.moment(end)
		if day := start.Format("2 January 2006"); day == last.Format("2 January 2006") {
			text = "on " + day + " from " + clock(start) + " to " + clockEnd(end)
		}
		s.say(rankTime, text, strings.HasPrefix(text, "from "), i, j)
		return
	}
	first, form := start, "2 January 2006"
	switch {
	case first.Year() != last.Year():
	case first.Month() != last.Month():
		form = "2 January"
	case first.Day() != last.Day():
		form = "2"
	default:
		s.say(rankTime, "on "+last.Format("2 January 2006"), false, i, j)
		return
	}
	s.say(rankTime, "from "+first.Format(form)+" to "+last.Format("2 January 2006"), true, i, j)
}

// sayText joins what is mentioned and what is not.
func (s *speech) sayText() {
	var with, without []string
	var terms []int
	for i, t := range s.filter.Terms {
		if t.Field.Class != ClassFree {
			continue
		}
		terms = append(terms, i)
		if text := s.filter.values(t, "or"); t.Not {
			without = append(without, text)
		} else {
			with = append(with, text)
		}
	}
	if terms == nil {
		return
	}
	with, without = fewer(with), fewer(without)
	verb := s.plain("mentions ", "that mention ")
	text := verb + list(with, "and")
	switch {
	case with == nil && s.singular:
		text = "lacks " + list(without, "and")
	case with == nil:
		text = "that do not mention " + list(without, "or")
	case without != nil:
		text += " but not " + list(without, "or")
	}
	s.say(rankMention, text, false, terms...)
}

func upperFirst(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}
