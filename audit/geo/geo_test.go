package geo_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/csv"
	"errors"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"testing"

	"github.com/auditadmin/auditadmin/audit/geo"
	"github.com/auditadmin/auditadmin/internal/need"
)

// TestShapes reads the shapes in which different makers keep places.
func TestShapes(t *testing.T) {
	names := func(en string) map[string]any {
		return map[string]any{"names": map[string]any{"de": "anders", "en": en}}
	}
	path := build(t, map[string]any{
		"192.0.2.0/25": map[string]any{"country_code": "FR"},
		"192.0.2.128/25": map[string]any{
			"city": names("Zürich"), "continent": map[string]any{"code": "EU"},
			"country": map[string]any{"iso_code": "CH", "names": map[string]any{"en": "Switzerland"}}},
		"198.51.100.0/24":  map[string]any{"country": map[string]any{"iso_code": "JP"}},
		"203.0.113.0/26":   map[string]any{"country": "us", "city": "Austin"},
		"203.0.113.64/26":  map[string]any{"continent": map[string]any{"code": "AS"}},
		"203.0.113.128/26": map[string]any{"country_code": "ZZ", "city": ""},
		"203.0.113.192/26": "no map at all",
		"2001:db8::/32":    map[string]any{"country_code": "SE", "city": "Umeå"},
	})
	places, err := geo.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer places.Close()
	if got, want := places.String(), "Test of 2026-03-01"; got != want {
		t.Errorf("String: got %q, want %q", got, want)
	}
	for _, test := range []struct{ address, country, city string }{
		{"192.0.2.1", "FR", ""},
		{"192.0.2.200", "CH", "Zürich"},
		{"198.51.100.7", "JP", ""},
		{"203.0.113.1", "US", "Austin"},
		{"203.0.113.65", "", ""},
		{"203.0.113.129", "", ""},
		{"203.0.113.193", "", ""},
		{"2001:db8::1", "SE", "Umeå"},
		{"::ffff:192.0.2.1", "FR", ""},
		{"10.0.0.1", "", ""},
		{"::1", "", ""},
		{"fe80::1%eth0", "", ""},
	} {
		country, city := places.Locate(netip.MustParseAddr(test.address))
		if country != test.country || city != test.city {
			t.Errorf("%s: got %q %q, want %q %q", test.address, country, city, test.country, test.city)
		}
	}
	if country, city := places.Locate(netip.Addr{}); country != "" || city != "" {
		t.Errorf("no address: got %q %q, want neither", country, city)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if _, err := geo.Open(filepath.Join(dir, "absent.mmdb")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: got %v", err)
	}
	for name, content := range map[string]string{"empty": "", "text": "country,city\n"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := geo.Open(path); err == nil {
			t.Errorf("%s: opened, want an error", name)
		}
	}
}

// TestDamaged flips every byte of a small file: what comes out may be wrong, but
// nothing breaks.
func TestDamaged(t *testing.T) {
	path := build(t, map[string]any{"192.0.2.0/24": map[string]any{"country": map[string]any{"iso_code": "CH"}, "city": map[string]any{"names": map[string]any{"en": "Bern"}}}})
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 0xff
		other := filepath.Join(t.TempDir(), "damaged.mmdb")
		if err := os.WriteFile(other, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		places, err := geo.Open(other)
		if err != nil {
			continue
		}
		opened++
		places.Locate(netip.MustParseAddr("192.0.2.1"))
		places.Locate(netip.MustParseAddr("2001:db8::1"))
		places.Close()
	}
	if opened == 0 {
		t.Error("no damaged file could be opened: nothing was tried")
	}
}

// TestRealAddresses looks up the addresses of real logs, for which two
// independent databases agree.
func TestRealAddresses(t *testing.T) {
	places := realFile(t)
	file, err := os.Open(need.Shared(t, "data/ip-country/agreed-ip-country.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows = rows[1:]
	for _, row := range rows {
		country, city := places.Locate(netip.MustParseAddr(row[0]))
		if country != row[1] || city != "" {
			t.Errorf("%s: got %q %q, want %q and no city", row[0], country, city, row[1])
		}
	}
	if len(rows) != 1145 {
		t.Errorf("looked up %d addresses, want 1145", len(rows))
	}
	for _, nowhere := range []string{"10.1.2.3", "127.0.0.1", "192.168.0.1", "::1", "fd00::1"} {
		if country, _ := places.Locate(netip.MustParseAddr(nowhere)); country != "" {
			t.Errorf("%s: got %q, want no country", nowhere, country)
		}
	}
}

func BenchmarkLocate(b *testing.B) {
	places := realFile(b)
	addr := netip.MustParseAddr("1.189.205.173")
	b.ReportAllocs()
	for b.Loop() {
		places.Locate(addr)
	}
}

// realFile unpacks the shared database and opens it.
func realFile(t testing.TB) *geo.File {
	t.Helper()
	packed, err := os.Open(need.Shared(t, "data/ip-country/geo-whois-asn-country.mmdb.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	unzip, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "country.mmdb")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, unzip); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	places, err := geo.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { places.Close() })
	return places
}

// build writes a database of the given networks, as the format says: a binary
// tree of 24-bit records, 16 zero bytes, the data, and the metadata after a mark.
func build(t *testing.T, networks map[string]any) string {
	t.Helper()
	type node struct {
		child [2]int // index of a node; -1 for none
		data  [2]int // offset in data; -1 for none
	}
	fresh := node{[2]int{-1, -1}, [2]int{-1, -1}}
	tree := []node{fresh}
	var data []byte
	for _, text := range sorted(networks) {
		offset := len(data)
		data = encode(data, networks[text])
		network := netip.MustParsePrefix(text)
		bits, length := network.Addr().As16(), network.Bits()
		if network.Addr().Is4() { // IPv4 lives at ::/96
			four := network.Addr().As4()
			bits = [16]byte{}
			copy(bits[12:], four[:])
			length += 96
		}
		at := 0
		for i := range length {
			bit := bits[i/8] >> (7 - i%8) & 1
			if i == length-1 {
				tree[at].data[bit] = offset
				break
			}
			if tree[at].child[bit] < 0 {
				tree = append(tree, fresh)
				tree[at].child[bit] = len(tree) - 1
			}
			at = tree[at].child[bit]
		}
	}
	var out []byte
	for _, n := range tree {
		for bit := range 2 {
			record := len(tree) // nothing there
			switch {
			case n.data[bit] >= 0:
				record = len(tree) + 16 + n.data[bit]
			case n.child[bit] >= 0:
				record = n.child[bit]
			}
			out = append(out, byte(record>>16), byte(record>>8), byte(record))
		}
	}
	out = append(append(out, make([]byte, 16)...), data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	out = encode(out, map[string]any{
		"binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0), "build_epoch": uint64(1772366400),
		"database_type": "Test", "description": map[string]any{"en": "test"}, "ip_version": uint16(6), "languages": []string{"en"},
		"node_count": uint32(len(tree)), "record_size": uint16(24)})
	path := filepath.Join(t.TempDir(), "test.mmdb")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// encode appends a value of the data section.
func encode(out []byte, value any) []byte {
	head := func(kind, size int) []byte {
		if kind > 7 {
			return append(out, byte(size), byte(kind-7))
		}
		return append(out, byte(kind<<5|size))
	}
	switch v := value.(type) {
	case string:
		return append(head(2, len(v)), v...)
	case uint16:
		return binary.BigEndian.AppendUint16(head(5, 2), v)
	case uint32:
		return binary.BigEndian.AppendUint32(head(6, 4), v)
	case uint64:
		return binary.BigEndian.AppendUint64(head(9, 8), v)
	case []string:
		out = head(11, len(v))
		for _, s := range v {
			out = encode(out, s)
		}
		return out
	case map[string]any:
		out = head(7, len(v))
		for _, key := range sorted(v) {
			out = encode(encode(out, key), v[key])
		}
		return out
	}
	panic("a type that these tests do not need")
}

func sorted(m map[string]any) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}
