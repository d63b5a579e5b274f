package query

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func TestFold(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", ""},
		{"alice", "alice"},
		{"Alice SMITH 42", "alice smith 42"},
		{"É", "é"},
		{"E\u0301", "é"},         // composed
		{"J\u030c", "\u01f0"},    // composes in lower case only
		{"STRAẞE", "straße"},     // simple folding: never ss
		{"İ I ı i", "İ i ı i"},   // neither dotted nor dotless i is an i
		{"\u212a \u212b", "k å"}, // Kelvin and Ångström
		{"ſ", "s"},
		{"ΣΊΣΥΦΟΣ σίσυφος", "σίσυφοσ σίσυφοσ"},
		{"Ι\u1fbe", "ιι"},
		{"Привет", "привет"},
		{"Ꭰ", "ꭰ"},
		{"日本", "日本"},
	}
	for _, tt := range tests {
		if got := Fold(tt.text); got != tt.want {
			t.Errorf("Fold(%+q): got %+q, want %+q", tt.text, got, tt.want)
		}
	}
}

// TestFoldRunes holds for every rune that what differs in case alone folds to
// one, and that folding it again changes nothing.
func TestFoldRunes(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !utf8.ValidRune(r) || r == 0x345 {
			continue
		}
		folded := foldRune(r)
		if again := foldRune(folded); again != folded {
			t.Errorf("%U folds to %U, and that to %U", r, folded, again)
		}
		if composed(r) {
			if !norm.NFC.PropertiesString(string(r)).BoundaryBefore() || !norm.NFC.IsNormalString(string(r)) {
				t.Errorf("%U is not always composed", r)
			}
			if !norm.NFC.PropertiesString(string(folded)).BoundaryBefore() || !norm.NFC.IsNormalString(string(folded)) {
				t.Errorf("%U folds to %U, which is not always composed", r, folded)
			}
			if got := Fold(string(r)); got != string(folded) {
				t.Errorf("Fold(%U) is %+q, want %U", r, got, folded)
			}
		}
		if other := unicode.SimpleFold(r); other != 0x345 && foldRune(other) != folded {
			t.Errorf("%U folds to %U, but %U to %U", r, folded, other, foldRune(other))
		}
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"Alice", "J\u030c", "α\u0345\u0301", "\u1e9b\u0323", "각", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		s = strings.ToValidUTF8(s, "�")
		folded := Fold(s)
		if again := Fold(folded); again != folded {
			t.Errorf("Fold(%+q) is %+q, and folded again %+q", s, folded, again)
		}
		if other := Fold(norm.NFD.String(s)); other != folded {
			t.Errorf("Fold(%+q) is %+q, but decomposed %+q", s, folded, other)
		}
	})
}

func BenchmarkFold(b *testing.B) {
	ascii := strings.Repeat("order 42 was changed by alice; ", 40)
	for _, bb := range []struct{ name, text string }{
		{"folded", ascii},
		{"ascii", strings.ToUpper(ascii)},
		{"latin", strings.Repeat("commande modifiée par Élodie; ", 40)},
		{"cyrillic", strings.Repeat("Заказ изменён Алисой; ", 40)},
		{"japanese", strings.Repeat("注文は変更されました。", 40)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(len(bb.text)))
			b.ReportAllocs()
			for b.Loop() {
				Fold(bb.text)
			}
		})
	}
}
