package lookalike

import (
	"errors"
	"os"
)

// Where the tables are that change at the last moment.
const (
	busyTable = "shop/orders.ibd"
	busySpace = 7
)

// What is made and what is dropped at the last moment.
var (
	madeLast    = []string{"shop/late.ibd", "shop/late.frm", madeDatabase + "/t.ibd"}
	droppedLast = []string{"shop/dropped.frm", "shop/dropped.ibd", droppedDatabase + "/db.opt", droppedDatabase}
)

// NewDonor makes a donor's data directory.
func NewDonor(dir string, size Size, owners Owners) (*Datadir, error) {
	m := newMaker(dir, owners)
	m.donorTop(size)
	m.donorSystem()
	m.donorShop(size)
	m.donorOddNames()
	m.linkedDatabase("linked", Sent)
	m.file("linked/t.ibd", Sent, 0o660, tableSpace(20, 20, 1))
	m.files(Sent, 0o660, "linked/t.frm", "linked/db.opt")
	m.directory(Sent, "nothing_in_it")
	m.directory(Gone, droppedDatabase)
	m.files(Gone, 0o660, droppedLast[:len(droppedLast)-1]...)
	m.donorKeeps()
	return m.done()
}

// donorTop makes what is sent from the top.
func (m *maker) donorTop(size Size) {
	m.file("ibdata1", Sent, 0o660, tableSpace(0, size.part(20, 64), 1))
	m.file("ib_logfile0", Sent, 0o660, redo(size.part(10, 256)*pageSize, 2))
	m.file("undo001", Sent, 0o660, tableSpace(1, size.part(40, 64), 1))
	m.file("undo002", Sent, 0o660, tableSpace(2, size.part(40, 64), 1))
	m.file("aria_log_control", Sent, 0o660, ariaLog(52, 3))
	m.file("aria_log.00000001", Sent, 0o660, ariaLog(size.part(40, 32)*pageSize, 4))
	m.files(Sent, 0o660, "ib_lru_dump")
}

// donorSystem makes the database of the server itself.
func (m *maker) donorSystem() {
	m.directory(Sent, "mysql")
	for _, table := range []string{"global_priv", "db", "proc", "plugin"} {
		m.files(Sent, 0o660, "mysql/"+table+".frm", "mysql/"+table+".MAI")
		m.file("mysql/"+table+".MAD", Sent, 0o660, ariaLog(5*8192, 5))
	}
	m.files(Sent, 0o660, "mysql/db.opt", "mysql/general_log.frm", "mysql/general_log.CSV", "mysql/general_log.CSM")
	m.file("mysql/gtid_slave_pos.ibd", Sent, 0o660, tableSpace(4, 4, 1))
	m.files(Sent, 0o660, "mysql/gtid_slave_pos.frm")
}

// donorShop makes the database that nearly all data is in.
func (m *maker) donorShop(size Size) {
	m.directory(Sent, "shop")
	m.files(Sent, 0o660, "shop/db.opt", "shop/orders.frm", "shop/customers.frm", "shop/paged.frm", "shop/visits.frm", "shop/visits.par",
		"shop/trimmed.TRN", "shop/orders.TRG", "shop/old.frm", "shop/old.MYD", "shop/old.MYI", "shop/seen.frm")
	m.file(busyTable, Sent, 0o660, tableSpace(busySpace, size.part(2, 128), 1))
	m.file("shop/customers.ibd", Sent, 0o660, tableSpace(8, size.part(10, 64), 1))
	for i, part := range []string{"t#P#p0", "visits#P#p0#SP#p0sp0", "visits#P#p0#SP#p0sp1", "visits#P#p@00201#SP#p1sp0"} {
		m.file("shop/"+part+".ibd", Sent, 0o660, tableSpace(uint32(9+i), size.part(40, 16), 1))
	}
	m.files(Sent, 0o660, "shop/t.frm", "shop/t.par")
	m.file("shop/paged.ibd", Sent, 0o660, compressed(14, size.part(10, 128)))
	m.file("shop/FTS_0000000000000016_BEING_DELETED.ibd", Sent, 0o660, tableSpace(15, 6, 1))
	m.file("shop/empty.ibd", Sent, 0o660, func(*os.File) error { return nil })
	// What operators leave behind in databases travels too.
	m.files(Sent, 0o440, "shop/read only.frm", "shop/archive 2025.txt")
	m.files(Sent, 0o400, "shop/read only too.MYD")
	m.files(Sent, 0o644, "shop/somebody else's.txt")
	m.foreign("shop/somebody else's.txt")
	m.symlink("shop/latest", Sent, "archive 2025.txt")
	m.symlink("shop/dangling", Sent, "../nowhere/at all")
}

// donorOddNames makes names that are encoded, and names that careless code would
// take for something else.
func (m *maker) donorOddNames() {
	odd := "odd@0020db@002d1@0020@017c@00f3@0142w"
	m.directory(Sent, odd)
	m.files(Sent, 0o660, odd+"/db.opt", odd+"/sp@0020ace.frm", odd+"/caf@00e9.frm")
	m.file(odd+"/sp@0020ace.ibd", Sent, 0o660, tableSpace(17, 8, 1))
	m.file(odd+"/caf@00e9.ibd", Sent, 0o660, tableSpace(18, 8, 1))
	raw := "raw \xfc\xff bytes"
	m.directory(Sent, raw, raw+"/deep er", raw+"/deep er/still")
	m.files(Sent, 0o660, raw+"/db.opt", raw+"/table with blanks.frm", raw+"/zażółć gęślą.frm", raw+"/\xe9t\xe9.frm", raw+"/[a]*?.frm",
		raw+"/it's 100% \\o\\.frm", raw+"/-rf.frm", raw+"/ leading.frm", raw+"/line\nbreak.frm", raw+"/$HOME`id`.frm", raw+"/.hidden.frm",
		raw+"/#sql-like.frm", raw+"/ibdata1", raw+"/grastate.dat", raw+"/deep er/still/here.frm")
	m.directory(Sent, "a@002eb")
	m.files(Sent, 0o660, "a@002eb/lost@002bfound.frm", "a@002eb/db.opt")
}

// donorKeeps makes what must not leave the donor.
func (m *maker) donorKeeps() {
	m.files(Home, 0o660, "grastate.dat", "gvwstate.dat", "galera.cache", "gcache.page.000000", "ib_buffer_pool", "ibtmp1",
		"ddl_recovery.log", "tc.log", "multi-master.info", "mysql_upgrade_info", "node1.err", "mysqld-bin.000001", "mysqld-bin.index",
		"notes of the donor.txt", "performance.schema")
	m.files(Home, 0o600, "node1.pem", "server-key.pem", "ca.pem")
	m.directory(Home, ServerKeys, ".ssh", "lost+found")
	m.files(Home, 0o600, ServerKeys+"/server.key", ".ssh/id_rsa", "lost+found/#1234")
	m.socket("mysqld.sock", Home)
	m.symlink("backup.tar", Home, "../backups/last.tar")
}

// ServerKeys is the directory, on both sides, that the keys of the server's own TLS
// are configured in (ssl_key=ssl/server.key).
const ServerKeys = "ssl"

// Databases that come and go between the donor's first look and the lock.
const (
	madeDatabase    = "made_last"
	droppedDatabase = "dropped_last"
)

// LastWrites does to the donor's files what transactions do that end between the
// moment an SST begins and the moment the tables are locked: pages change in place,
// a table grows, one is made, one is dropped. All that must arrive.
func LastWrites(donor *Datadir, owners Owners) error {
	m := &maker{Datadir: donor, owners: owners}
	f, err := os.OpenFile(m.path(busyTable), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = touchPages(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	m.directory(Sent, madeDatabase)
	for i, name := range madeLast {
		m.file(name, Sent, 0o660, tableSpace(uint32(30+i), 12, 1))
	}
	for _, name := range droppedLast {
		if m.err == nil {
			m.err = os.Remove(m.path(name))
		}
	}
	return m.err
}

// touchPages writes some pages anew and adds a few.
func touchPages(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	pages := uint32(info.Size() / pageSize)
	w := newPageWriter(busySpace, pages+16, 99)
	for _, no := range []uint32{0, 3, pages / 3, pages - 1, pages, pages + 15} {
		if _, err := f.WriteAt(w.fill(no, kindOf(no), pageSize-1024), int64(no)*pageSize); err != nil {
			return err
		}
	}
	return nil
}
