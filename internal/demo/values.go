package demo

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The functions here make the values of fields. Each returns a function, so
// that the table of things reads like a description.

func fixed(v any) func(*generator) any { return func(*generator) any { return v } }

func oneOf(values ...any) func(*generator) any {
	return func(g *generator) any { return pick(g, values...) }
}

// otherOf changes a value to another one of the list.
func otherOf(values ...any) func(*generator, any) any {
	return func(g *generator, old any) any {
		for {
			if v := pick(g, values...); v != old {
				return v
			}
		}
	}
}

// after changes a value to one that may follow it: "draft>published published>archived".
func after(ways string) func(*generator, any) any {
	next := map[string][]string{}
	for way := range strings.FieldsSeq(ways) {
		from, to, _ := strings.Cut(way, ">")
		next[from] = append(next[from], to)
	}
	return func(g *generator, old any) any {
		from, _ := old.(string)
		if to := next[from]; len(to) > 0 {
			return pick(g, to...)
		}
		return old
	}
}

// toggle changes yes to no and back.
func toggle(_ *generator, old any) any { on, _ := old.(bool); return !on }

func number(lo, hi int) func(*generator) any {
	return func(g *generator) any { return lo + g.IntN(hi-lo) }
}

// shift changes a number by at most so much, and not below zero.
func shift(by int) func(*generator, any) any {
	return func(g *generator, old any) any {
		n, _ := old.(int)
		return max(0, n-by+g.IntN(2*by+1))
	}
}

// money is an amount as programs write it: text with two decimals.
func money(lo, hi int) func(*generator) any {
	return func(g *generator) any {
		return fmt.Sprintf("%d.%s", lo+g.IntN(hi-lo), pick(g, "00", "50", "90", "90", "95", "99"))
	}
}

// reprice changes an amount by a tenth or so.
func reprice(g *generator, old any) any {
	cents := amount(old)
	return fmt.Sprintf("%d.%s", max(1, cents*(85+g.IntN(34))/100/100), pick(g, "00", "50", "90", "95", "99"))
}

// amount reads what money wrote, in hundredths.
func amount(v any) int {
	s, _ := v.(string)
	n, _ := strconv.Atoi(strings.ReplaceAll(s, ".", ""))
	return n
}

func euros(cents int) string { return fmt.Sprintf("%d.%02d", cents/100, cents%100) }

// moment is the present, as an application would write it.
func moment(g *generator, _ any) any { return g.now.UTC().Format(time.RFC3339) }

// day is a date some days from now.
func day(lo, hi int) func(*generator) any {
	return func(g *generator) any { return g.now.AddDate(0, 0, lo+g.IntN(hi-lo)).Format(time.DateOnly) }
}

// again makes a value anew when it changes.
func again(make func(*generator) any) func(*generator, any) any {
	return func(g *generator, _ any) any { return make(g) }
}

// coded is a code with a prefix: "1Z" and twelve characters.
func coded(prefix string, digits int) func(*generator) any {
	return func(g *generator) any { return prefix + strings.ToUpper(g.hex(digits)) }
}

func people(g *generator) any { return fullName(g) }

// actor is the name of whoever makes the change.
func actor(g *generator, _ any) any { return g.actor.name }

// labels is a list of some of the words.
func labels(words ...any) func(*generator) any {
	return func(g *generator) any {
		list := []any{}
		for _, i := range g.Perm(len(words))[:1+g.IntN(min(3, len(words)))] {
			list = append(list, words[i])
		}
		return list
	}
}

// relabel adds a word to a list, or takes one away.
func relabel(words ...any) func(*generator, any) any {
	return func(g *generator, old any) any {
		list, _ := old.([]any)
		list = slices.Clone(list)
		word := pick(g, words...)
		if i := slices.Index(list, word); i >= 0 && len(list) > 1 {
			return slices.Delete(list, i, i+1)
		} else if i >= 0 {
			return []any{word, words[(slices.Index(words, word)+1)%len(words)]}
		}
		return append(list, word)
	}
}

// goods is what is in an order: a list of lines.
func goods(g *generator) any {
	lines := []any{}
	for range 1 + min(g.IntN(5), g.IntN(5)) {
		lines = append(lines, map[string]any{
			"product": product(g).(string), "sku": coded("FF-", 6)(g), "quantity": 1 + min(g.IntN(4), g.IntN(4)), "price": money(6, 140)(g),
		})
	}
	return lines
}

// worth is the sum of the lines of an order.
func worth(lines any) string {
	sum := 0
	list, _ := lines.([]any)
	for _, line := range list {
		l := line.(map[string]any)
		sum += l["quantity"].(int) * amount(l["price"])
	}
	return euros(sum)
}

// recount changes the quantity in one line.
func recount(g *generator, old any) any {
	list, _ := old.([]any)
	list = slices.Clone(list)
	if len(list) > 0 {
		i := g.IntN(len(list))
		quantity := list[i].(map[string]any)["quantity"].(int)
		list[i] = with(list[i], "quantity", quantity%4+1)
	}
	return list
}

// home is where a parcel goes.
func home(g *generator) any {
	where := pick(g, places...)
	return map[string]any{
		"name": fullName(g), "street": fmt.Sprintf("%s %d", pick(g, streets...), 1+g.IntN(180)),
		"postcode": fmt.Sprintf("%05d", 1000+g.IntN(90000)), "city": where.city, "country": where.country,
	}
}

// move corrects one line of an address, or all of it.
func move(g *generator, old any) any {
	if g.chance(3) {
		return home(g)
	}
	return with(old, "street", fmt.Sprintf("%s %d", pick(g, streets...), 1+g.IntN(180)))
}

// product is the name of something that the shop sells.
func product(g *generator) any {
	line := pick(g, wares...)
	return line.material + " " + pick(g, line.things...)
}

var wares = []struct {
	material string
	things   []string
}{
	{"Cast-iron", []string{"casserole 24 cm", "casserole 28 cm", "skillet 26 cm", "gratin dish", "crêpe pan", "waffle iron", "trivet"}},
	{"Copper", []string{"saucepan 1.5 l", "sauté pan 24 cm", "jam pan 8 l", "measuring cups", "kettle 1.2 l"}},
	{"Carbon-steel", []string{"wok 32 cm", "frying pan 28 cm", "crêpe pan", "baking sheet", "bread knife"}},
	{"Enamel", []string{"bread box", "colander", "mug", "pie dish 22 cm", "milk pan 1 l"}},
	{"Stoneware", []string{"espresso cups (set of 4)", "butter dish", "gratin dish", "fermentation crock 5 l", "salad bowl", "pizza stone"}},
	{"Porcelain", []string{"teapot 0.8 l", "soup plates (set of 6)", "espresso cups (set of 4)", "serving platter"}},
	{"Olive-wood", []string{"salad servers", "chopping board", "pestle", "spatula", "honey dipper"}},
	{"Walnut", []string{"chopping board", "pepper mill", "serving tray", "knife block"}},
	{"Beech", []string{"rolling pin", "cooking spoons (set of 5)", "salad bowl", "stool"}},
	{"Glass", []string{"carafe 1 l", "jam jars (set of 6)", "storage jar 2 l", "tumblers (set of 4)"}},
	{"Linen", []string{"apron", "tea towels (set of 3)", "tablecloth 150 × 250 cm", "bread bag"}},
	{"Marble", []string{"mortar and pestle", "cheese board", "pastry slab"}},
}

var streets = []string{
	"Lindenstraße", "Rue des Tilleuls", "Karl-Marx-Allee", "Ulica Długa", "Via Garibaldi", "Storgatan", "Calle Mayor", "Prinsengracht", "Vesterbrogade", "Am Mühlenbach",
}
