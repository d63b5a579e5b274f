package demo

import (
	"cmp"
	"strings"
)

// prose is a long text: some paragraphs of sentences about kitchenware.
func prose(g *generator) any { return paragraphs(g, 1+g.IntN(3)) }

func paragraphs(g *generator, n int) string {
	all := make([]string, n)
	for i := range all {
		sentences := make([]string, 3+g.IntN(4))
		for j := range sentences {
			sentences[j] = pick(g, phrases...)
		}
		all[i] = strings.Join(sentences, " ")
	}
	return strings.Join(all, "\n\n")
}

// revise changes a long text as an editor does: a word here, a sentence there.
func revise(g *generator, old any) any {
	text, _ := old.(string)
	if g.chance(4) {
		return text + " " + pick(g, phrases...)
	}
	for _, i := range g.Perm(len(edits)) {
		for _, way := range [][2]int{{0, 1}, {1, 0}} {
			if next := strings.Replace(text, edits[i][way[0]], edits[i][way[1]], 1); next != text {
				return next
			}
		}
	}
	return text + " " + pick(g, phrases...)
}

var phrases = []string{
	"Made in a small workshop near Solingen, by hand and in short runs.",
	"It gets better with every use, and outlives most kitchens.",
	"Hand wash only; dry it at once and rub it with a little oil.",
	"The handle stays cool on gas, electric and ceramic hobs, but not in the oven.",
	"Suitable for induction.",
	"Every piece is a little different, which is how you know that it is made of wood.",
	"Comes in a box of recycled cardboard, without any plastic.",
	"We test each batch for lead and cadmium; the report is in the downloads.",
	"If it ever breaks, send it back: we repair what we sell.",
	"The lid is heavy and closes well, so that stews keep their juice.",
	"Our customers use it for sourdough, for roasts, and for everything between.",
	"Delivery takes two to four working days within the EU.",
	"The glaze is fired twice at 1,280 °C and does not chip easily.",
	"Weighs 3.4 kg; think of your shelf.",
	"Returned pieces are checked and sold as second choice at a lower price.",
	"The design goes back to a drawing of 1931 and was left alone since.",
}

var edits = [][2]string{
	{"small workshop", "family workshop"}, {"by hand", "entirely by hand"}, {"Hand wash only", "Dishwasher safe, hand wash preferred"},
	{"a little oil", "a drop of linseed oil"}, {"Suitable for induction", "Suitable for all hobs including induction"},
	{"recycled cardboard", "FSC-certified cardboard"}, {"two to four", "three to five"}, {"within the EU", "within the EU and Switzerland"},
	{"1,280 °C", "1,240 °C"}, {"3.4 kg", "3.1 kg"}, {"outlives most kitchens", "lasts for decades"}, {"of 1931", "from 1931"},
	{"repair what we sell", "repair what we sell, free of charge for ten years"}, {"lead and cadmium", "lead, cadmium and nickel"},
}

// letter is what somebody writes to a customer, or a customer to us.
func letter(g *generator) any {
	return pick(g, "Hello,", "Dear team,", "Guten Tag,", "Bonjour,", "Hi there,") + "\n\n" +
		pick(g,
			"my parcel arrived today but the lid of the casserole is chipped. A photo is attached.",
			"I ordered two boards and received one. Could you look into it?",
			"can I still change the delivery address of my order? I moved last week.",
			"the voucher I got for my birthday is not accepted at the checkout.",
			"thank you for the quick delivery! One question: can the pan go into the oven?",
			"I was charged twice for the same order. Please refund one of them.",
		) + "\n\n" + pick(g, "Best wishes", "Kind regards", "Viele Grüße", "Merci d’avance", "Thanks") + "\n" + cmp.Or(g.actor.full, g.actor.name)
}

func verdict(g *generator) any {
	return pick(g,
		"Beautiful, heavy, exactly as described. Would buy again.",
		"Nice but smaller than I thought. Read the measurements!",
		"Arrived broken, replaced within three days without any fuss. Five stars for the service.",
		"素晴らしい品質です。毎日使っています。",
		"Très belle pièce, un peu lourde pour moi 😅",
		"The wood cracked after a month. I did oil it.",
		"Wunderschön! Passt perfekt zu unserer Küche.",
	)
}
