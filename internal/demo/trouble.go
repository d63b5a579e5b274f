package demo

import (
	"fmt"
	"strings"
	"time"

	"github.com/auditadmin/auditadmin/audit"
)

// fault is something that goes wrong again and again, between two days of the
// trail, as bugs do between the deploy that brings them and the one that fixes
// them.
type fault struct {
	from, to    int // days since the beginning
	odds        int
	kind        string
	title       string
	description string
	module      string
	function    string
	line        int
	code        string
	trace       string // %s is a request id or another number that differs
	fix         string // what somebody wrote when he resolved it; "" where it goes on
	met         team   // who runs into it; "" where nobody does
}

var faults = []fault{
	{0, Days, 9, "PERFORMANCE", "Slow request: GET /admin/reports/turnover", "The request took %s s; the limit is 5.0 s.", "reports", "TurnoverView.get", 88, "", "", "Index on order.paid_at added, see the release notes", finance},
	{0, Days, 7, "PERFORMANCE", "Slow query: SELECT … FROM inventory_stockitem", "The query took %s s and read 1,204,331 rows.", "inventory", "recount_all", 212, "", "", "", ""},
	{0, Days, 6, "SECURITY", "Suspicious request: /.env", "A scanner asked for /.env, /.git/config and /backup.sql within 2 s. Answered with 404. Reference %s.", "web", "SecurityMiddleware.check", 41, "SCAN", "", "Scanner, blocked at the edge", ""},
	{0, Days, 5, "WARNING", "Mail could not be delivered", "550 5.1.1 The mailbox does not exist. Message id %s.", "newsletter", "deliver", 137, "SMTP550", "", "", ""},
	{0, Days, 5, "WARNING", "Partner answers slowly: DHL label API", "The label took %s s, three tries.", "shipping", "print_label", 64, "DHL-TIMEOUT", "", "DHL had an incident, all labels printed later", warehouse},
	{11, 23, 16, "ERROR", "KeyError: 'postcode'", "The checkout failed for an address without a postcode (Ireland). Request %s.", "orders", "normalise_address", 151, "E-CHECKOUT-17", pythonKeyError, "Postcode is optional for IE since release 41", customers},
	{30, 36, 22, "ERROR", "connect: connection refused (payment gateway)", "Three tries within 2 s. The payment was not taken. Request %s.", "payments", "(*Gateway).Capture", 219, "PAY-503", goRefused, "Gateway moved to a new address; the old one was still in the settings", customers},
	{0, Days, 5, "ERROR", "deadlock detected", "Two transactions waited for each other on inventory_stockitem. The job was tried again. Request %s.", "inventory", "StockRepository.reserve", 73, "40P01", javaDeadlock, "", customers},
	{48, 52, 20, "ERROR", "panic: runtime error: index out of range [4] with length 4", "The warehouse's picking list could not be printed. Request %s.", "warehouse", "(*PickingList).Rows", 58, "", goPanic, "Off by one in the page break, fixed in release 44", warehouse},
	{0, Days, 4, "ERROR", "UnicodeEncodeError: 'latin-1' codec can't encode characters", "An invoice with the name “京都陶器” could not be written to the DATEV file. Request %s.", "invoices", "write_datev", 302, "E-DATEV-3", pythonUnicode, "", ""},
	{66, Days, 8, "ERROR", "java.lang.OutOfMemoryError: Java heap space", "The search index was built with 2.1 GB of 2.0 GB. Run %s.", "search", "IndexBuilder.build", 410, "", javaMemory, "", ""},
	{70, Days, 6, "WARNING", "Deprecated: partner API v2 is switched off on 1 February", "Header Sunset was seen in answer %s.", "payments", "(*Client).do", 97, "SUNSET", "", "", ""},
}

// trouble plans one fault of the day and what follows from it.
func (g *generator) trouble(t time.Time) int {
	today := int(t.Sub(g.start) / (24 * time.Hour))
	sum := 0
	for _, f := range faults {
		if f.from <= today && today < f.to {
			sum += f.odds
		}
	}
	n := g.IntN(sum)
	for _, f := range faults {
		if f.from > today || today >= f.to {
			continue
		}
		if n -= f.odds; n < 0 {
			g.at(t, func() { g.fail(f) })
			break
		}
	}
	return 0
}

// fail records a fault, in the request of a customer where it met one.
func (g *generator) fail(f fault) *audit.Event {
	request := g.request()
	what := request
	if strings.Contains(f.description, "%s s") {
		what = fmt.Sprintf("%d.%d", 5+min(g.IntN(30), g.IntN(30)), g.IntN(10))
	}
	e := g.event(audit.KindSystemEvent, "event_type", f.kind, "title", f.title, "description", fmt.Sprintf(f.description, what),
		"module", f.module, "function_name", f.function, "line_number", fmt.Sprint(f.line), "error_code", f.code,
		"stack_trace", strings.ReplaceAll(f.trace, "%s", request), "request_id", request)
	e.Set("metadata", fmt.Sprintf(`{"release":%d,"host":"web-%d","environment":"production"}`, g.release+g.age()/7, 1+g.IntN(3)))
	switch f.met {
	case customers:
		(&session{person: g.customer(), key: g.hex(32)}).context(e, request)
	case "":
		if f.kind == "SECURITY" {
			e.Set("ip_address", fmt.Sprintf("203.0.113.%d", 1+g.IntN(254)))
		}
	default:
		p := g.employee(f.met)
		s := g.sessions[p.name]
		if s == nil {
			s = &session{person: p}
		}
		s.context(e, request)
	}
	g.resolve(e, f)
	return e
}

// age is how many days the trail is old at the present moment.
func (g *generator) age() int { return int(g.now.Sub(g.start) / (24 * time.Hour)) }

// resolve marks most old events of a fault as dealt with: when its fix went
// out, or when somebody came to it.
func (g *generator) resolve(e *audit.Event, f fault) {
	at, note := g.now.Add(g.between(40*time.Minute, 9*24*time.Hour)), f.fix
	switch {
	case f.fix == "":
		note = pick(g, "Known, tracked as SHOP-1423", "Looked at it: nothing to do", "Customer informed", "Happens under load, see the capacity plan")
	case f.to < Days:
		at = g.start.AddDate(0, 0, f.to).Add(-g.within(20 * time.Hour))
	}
	if g.chance(12) || at.Before(g.now) || !at.Before(g.until) {
		return
	}
	g.resolved(e, at, pick(g, g.staff[engineers]...).name, note)
}

// resolved says that somebody resolved an event.
func (g *generator) resolved(e *audit.Event, at time.Time, by, note string) {
	e.Set("resolved", "true")
	e.Set("resolved_at", audit.FormatTime(at))
	e.Set("resolved_by", by)
	e.Set("resolution_note", note)
}

const pythonKeyError = `Traceback (most recent call last):
  File "/srv/shop/.venv/lib/python3.13/site-packages/django/core/handlers/exception.py", line 55, in inner
    response = get_response(request)
  File "/srv/shop/.venv/lib/python3.13/site-packages/django/core/handlers/base.py", line 197, in _get_response
    response = wrapped_callback(request, *callback_args, **callback_kwargs)
  File "/srv/shop/checkout/views.py", line 204, in post
    order = self.place_order(basket, form.cleaned_data)
  File "/srv/shop/checkout/services.py", line 96, in place_order
    address = normalise_address(data["shipping"])
  File "/srv/shop/orders/addresses.py", line 151, in normalise_address
    postcode = raw["postcode"].strip().upper()
               ~~~^^^^^^^^^^^^
KeyError: 'postcode'`

const pythonUnicode = `Traceback (most recent call last):
  File "/srv/shop/.venv/lib/python3.13/site-packages/celery/app/trace.py", line 453, in trace_task
    R = retval = fun(*args, **kwargs)
  File "/srv/shop/invoices/tasks.py", line 61, in nightly_export
    write_datev(batch, target)
  File "/srv/shop/invoices/datev.py", line 302, in write_datev
    target.write(";".join(row).encode("latin-1") + b"\r\n")
                 ~~~~~~~~~~~~~~~~~~~~^^^^^^^^^^^
UnicodeEncodeError: 'latin-1' codec can't encode characters in position 41-44: ordinal not in range(256)`

const goRefused = `goroutine 8127 [running]:
runtime/debug.Stack()
	/usr/local/go/src/runtime/debug/stack.go:26 +0x64
fennelfig.example/shop/payments.(*Gateway).Capture(0xc0004a6000, {0x1298f40, 0xc000b1a0f0}, {0xc0003d21e0, 0x1b})
	/src/payments/gateway.go:219 +0x3d1
fennelfig.example/shop/checkout.(*Service).Pay(0xc00011c2d0, {0x1298f40, 0xc000b1a0f0}, 0xc000964000)
	/src/checkout/pay.go:77 +0x1c8
fennelfig.example/shop/web.(*Server).handlePay(0xc0001d8000, {0x1297b30, 0xc0009640e0}, 0xc0007c6140)
	/src/web/checkout.go:143 +0x2af
net/http.HandlerFunc.ServeHTTP(...)
	/usr/local/go/src/net/http/server.go:2294
caused by: dial tcp 10.8.4.20:8443: connect: connection refused
request: %s`

const goPanic = `panic: runtime error: index out of range [4] with length 4

goroutine 512 [running]:
fennelfig.example/shop/warehouse.(*PickingList).Rows(0xc000420780, 0x2)
	/src/warehouse/pickinglist.go:58 +0x11c
fennelfig.example/shop/warehouse.(*Printer).Print(0xc00019a060, {0x1298f40, 0xc0008fe2d0}, 0xc000420780)
	/src/warehouse/printer.go:31 +0x8e
fennelfig.example/shop/web.(*Server).handlePrint(0xc0001d8000, {0x1297b30, 0xc0006d00e0}, 0xc0002c6640)
	/src/web/warehouse.go:62 +0x1f5
created by net/http.(*Server).Serve in goroutine 1
	/usr/local/go/src/net/http/server.go:3454 +0x485
request: %s`

const javaDeadlock = `org.springframework.dao.CannotAcquireLockException: PreparedStatementCallback; SQL [UPDATE inventory_stockitem SET reserved = reserved + ? WHERE id = ?]; ERROR: deadlock detected
	at org.springframework.jdbc.support.SQLExceptionSubclassTranslator.doTranslate(SQLExceptionSubclassTranslator.java:83)
	at org.springframework.jdbc.core.JdbcTemplate.execute(JdbcTemplate.java:658)
	at example.fennelfig.inventory.StockRepository.reserve(StockRepository.java:73)
	at example.fennelfig.inventory.ReservationService.reserveAll(ReservationService.java:44)
	at example.fennelfig.inventory.ReservationListener.onOrderPlaced(ReservationListener.java:29)
	at java.base/java.lang.Thread.run(Thread.java:1583)
Caused by: org.postgresql.util.PSQLException: ERROR: deadlock detected
  Detail: Process 20411 waits for ShareLock on transaction 918277; blocked by process 20419.
	at org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2725)
	... 19 more`

const javaMemory = `java.lang.OutOfMemoryError: Java heap space
	at java.base/java.util.Arrays.copyOf(Arrays.java:3537)
	at java.base/java.io.ByteArrayOutputStream.ensureCapacity(ByteArrayOutputStream.java:100)
	at example.fennelfig.search.SegmentWriter.flush(SegmentWriter.java:187)
	at example.fennelfig.search.IndexBuilder.build(IndexBuilder.java:410)
	at example.fennelfig.search.NightlyJob.run(NightlyJob.java:52)
	at java.base/java.util.concurrent.ThreadPoolExecutor.runWorker(ThreadPoolExecutor.java:1144)`
