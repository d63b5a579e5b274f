// Package geo says in which country and city an address is, from a file in the
// MaxMind DB format (.mmdb): GeoLite2, GeoIP2, DB-IP, IPinfo or any other with
// the same fields, or with flat ones.
//
//	places, err := geo.Open("GeoLite2-City.mmdb")
//	…
//	recorder, err := audit.New(sink, audit.SpoolDir("audit.spool"), audit.Locate(places))
//
// No such file comes with auditadmin, and no address is sent anywhere.
package geo

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2"

	"github.com/auditadmin/auditadmin/audit"
)

// File is an open database of places. It is safe for concurrent use.
type File struct{ reader *maxminddb.Reader }

var _ audit.Locator = (*File)(nil)

// Open opens a file, which is mapped into memory: to update it, put a new one
// in its place by renaming and open that; never write into it. The caller
// closes it after the last Locate.
func Open(path string) (*File, error) {
	reader, err := maxminddb.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the database of places %s: %w", path, err)
	}
	return &File{reader}, nil
}

// Close gives back the memory.
func (f *File) Close() error { return f.reader.Close() }

// String names the file's kind and age: "GeoLite2-City of 2026-03-01".
func (f *File) String() string {
	return f.reader.Metadata.DatabaseType + " of " + f.reader.Metadata.BuildTime().UTC().Format("2006-01-02")
}

// The places of a record where files of different makers keep the same thing.
// The first that holds a text decides.
var (
	countryPaths = [][]any{{"country", "iso_code"}, {"country_code"}, {"country"}}
	cityPaths    = [][]any{{"city", "names", "en"}, {"city"}}
)

// Locate returns the two letters of the country and the English name of the
// city, each "" where the file does not say it. Private and loopback addresses
// are nowhere.
func (f *File) Locate(addr netip.Addr) (country, city string) {
	addr = addr.Unmap().WithZone("")
	if !addr.IsGlobalUnicast() || addr.IsPrivate() { // some files do name a country for those
		return "", ""
	}
	found := f.reader.Lookup(addr)
	if found.Err() != nil || !found.Found() {
		return "", "" // an IPv6 address in a file of IPv4, or one that nobody has
	}
	country = strings.ToUpper(text(found, countryPaths))
	if len(country) != 2 || country == "ZZ" || country == "--" { // a full name, or a mark for "unknown"
		country = ""
	}
	return country, text(found, cityPaths)
}

// text is the first of the texts at some paths. Where something else than a
// text stands there it is passed over: that is another maker's file.
func text(found maxminddb.Result, paths [][]any) string {
	for _, path := range paths {
		var s string
		if err := found.DecodePath(&s, path...); err == nil && s != "" {
			return s
		}
	}
	return ""
}
