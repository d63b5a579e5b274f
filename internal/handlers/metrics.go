package handlers

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// durations are the bounds of the histogram of answer times, in seconds: close
// together where a page should be.
var durations = [...]float64{0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}

// metrics counts what the server does. Routes are named by their patterns, of
// which there are few, and never by the addresses that strangers make up.
type metrics struct {
	mutex   sync.Mutex
	routes  map[routeKey]*routeCount
	flying  int
	panics  int64
	slow    int64
	started time.Time
}

type routeKey struct {
	method, pattern string
	status          int
}

type routeCount struct {
	number  int64
	seconds float64
	within  [len(durations)]int64
}

func newMetrics(now time.Time) *metrics {
	return &metrics{routes: map[routeKey]*routeCount{}, started: now}
}

func (m *metrics) begin() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.flying++
}

func (m *metrics) end(key routeKey, took time.Duration) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.flying--
	count := m.routes[key]
	if count == nil {
		count = &routeCount{}
		m.routes[key] = count
	}
	count.number++
	count.seconds += took.Seconds()
	for i, bound := range durations {
		if took.Seconds() <= bound {
			count.within[i]++
		}
	}
}

func (m *metrics) panicked() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.panics++
}

func (m *metrics) wasSlow() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.slow++
}

// write writes everything in the text form of Prometheus.
func (m *metrics) write(out *bytes.Buffer, version string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	header(out, "auditadmin_info", "gauge", "The version that runs.")
	fmt.Fprintf(out, "auditadmin_info{version=%s} 1\n", label(version))
	header(out, "process_start_time_seconds", "gauge", "When the server started, in seconds since 1970.")
	fmt.Fprintf(out, "process_start_time_seconds %d\n", m.started.Unix())
	header(out, "auditadmin_http_requests_in_flight", "gauge", "Requests that are being answered.")
	fmt.Fprintf(out, "auditadmin_http_requests_in_flight %d\n", m.flying)
	header(out, "auditadmin_panics_total", "counter", "Requests that ended in a fault of the program.")
	fmt.Fprintf(out, "auditadmin_panics_total %d\n", m.panics)
	header(out, "auditadmin_slow_pages_total", "counter", "Pages that took longer than "+slowPage.String()+".")
	fmt.Fprintf(out, "auditadmin_slow_pages_total %d\n", m.slow)

	keys := make([]routeKey, 0, len(m.routes))
	for key := range m.routes {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b routeKey) int {
		if n := strings.Compare(a.pattern, b.pattern); n != 0 {
			return n
		}
		if n := strings.Compare(a.method, b.method); n != 0 {
			return n
		}
		return a.status - b.status
	})
	header(out, "auditadmin_http_request_duration_seconds", "histogram", "How long answers took, by route and status.")
	for _, key := range keys {
		count := m.routes[key]
		labels := "method=" + label(key.method) + ",route=" + label(key.pattern) + ",code=\"" + strconv.Itoa(key.status) + "\""
		for i, bound := range durations {
			fmt.Fprintf(out, "auditadmin_http_request_duration_seconds_bucket{%s,le=\"%g\"} %d\n", labels, bound, count.within[i])
		}
		fmt.Fprintf(out, "auditadmin_http_request_duration_seconds_bucket{%s,le=\"+Inf\"} %d\n", labels, count.number)
		fmt.Fprintf(out, "auditadmin_http_request_duration_seconds_sum{%s} %g\n", labels, count.seconds)
		fmt.Fprintf(out, "auditadmin_http_request_duration_seconds_count{%s} %d\n", labels, count.number)
	}

	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	header(out, "go_goroutines", "gauge", "Goroutines there are.")
	fmt.Fprintf(out, "go_goroutines %d\n", runtime.NumGoroutine())
	header(out, "go_memstats_alloc_bytes", "gauge", "Bytes of the heap in use.")
	fmt.Fprintf(out, "go_memstats_alloc_bytes %d\n", memory.Alloc)
	header(out, "go_memstats_sys_bytes", "gauge", "Bytes taken from the system.")
	fmt.Fprintf(out, "go_memstats_sys_bytes %d\n", memory.Sys)
}

func header(out *bytes.Buffer, name, kind, help string) {
	fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// label quotes a value the way Prometheus reads it.
func label(value string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(value) + `"`
}

// watched notes the status that was sent.
type watched struct {
	http.ResponseWriter
	status int
}

func (w *watched) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *watched) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *watched) Unwrap() http.ResponseWriter { return w.ResponseWriter }
