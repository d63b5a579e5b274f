package pgtest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/auditadmin/auditadmin/internal/need"
)

// Cluster starts a coordinator of a Citus cluster, which comes first, and so many
// workers. The first database of each has the extension. Where it is not installed,
// the test is skipped, also where nothing may be skipped: Debian has no package of it.
func Cluster(t testing.TB, workers int) []*Server {
	t.Helper()
	library := filepath.Join(filepath.Dir(binaries(t)), "lib", "citus.so")
	if _, err := os.Stat(library); err != nil {
		need.Unpackaged(t, library+" is missing: this was not run on Citus; build it from its source, see docs/operations.md")
	}
	var servers []*Server
	for range workers + 1 {
		s := New(t, "shared_preload_libraries=citus", "max_connections=200", "max_prepared_transactions=200", "max_locks_per_transaction=512",
			"citus.node_conninfo=sslmode=prefer", "citus.recover_2pc_interval=1000")
		s.Exec(t, "CREATE EXTENSION citus")
		servers = append(servers, s)
	}
	coordinator := servers[0]
	coordinator.Exec(t, fmt.Sprintf("SELECT citus_set_coordinator_host('127.0.0.1', %d)", coordinator.port))
	for _, worker := range servers[1:] {
		coordinator.Exec(t, fmt.Sprintf("SELECT citus_add_node('127.0.0.1', %d)", worker.port))
	}
	return servers
}
