package handlers

import (
	"net/http"
	"sync"
	"time"
	_ "time/tzdata" // names of zones must not depend on what the host has installed
)

// zones are the ones offered first; any other can be typed.
var zones = []string{
	"UTC", "Europe/London", "Europe/Paris", "Europe/Berlin", "Europe/Kyiv", "Africa/Johannesburg",
	"Asia/Dubai", "Asia/Kolkata", "Asia/Shanghai", "Asia/Tokyo", "Australia/Sydney",
	"America/Sao_Paulo", "America/New_York", "America/Chicago", "America/Los_Angeles",
}

// offered are the zones that every page offers, read once: each is a file.
var offered = sync.OnceValue(func() map[string]*time.Location {
	all := map[string]*time.Location{}
	for _, name := range zones {
		if zone, err := time.LoadLocation(name); err == nil {
			all[name] = zone
		}
	}
	return all
})

// zoneNamed returns the zone of an IANA name. "Local" is refused: it would be
// the zone of the server, which no reader can see.
func zoneNamed(name string) (*time.Location, error) {
	if name == "" || name == "Local" || len(name) > 64 {
		return nil, refuse(http.StatusBadRequest, "tz=%s is not a time zone; write one such as UTC or Europe/Paris", short(name))
	}
	if zone := offered()[name]; zone != nil {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "tz=%s is not a time zone; write one such as UTC or Europe/Paris", short(name))
	}
	return zone, nil
}

// offset is how a zone stands to UTC at an instant: "UTC+02:00", and "UTC"
// where it does not differ.
func offset(t time.Time) string {
	_, seconds := t.Zone()
	if seconds == 0 {
		return "UTC"
	}
	return "UTC" + t.Format("-07:00")
}
