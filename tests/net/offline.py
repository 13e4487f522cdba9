"""libpcap's verdict on the bytes of a file: pcap_offline_filter()."""
import ctypes

SNAPLEN = 262144
# As pcap_open_dead() wants them; LINKTYPE_RAW is another number.
ETHERNET, RAW_IP, COOKED = 1, 12, 276
NETMASK_UNKNOWN = 0xFFFFFFFF

_pcap = ctypes.CDLL("libpcap.so.0.8")
_pcap.pcap_open_dead.restype = ctypes.c_void_p
_pcap.pcap_geterr.restype = ctypes.c_char_p
_pcap.pcap_geterr.argtypes = [ctypes.c_void_p]


class _Insn(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8),
                ("k", ctypes.c_uint32)]


class _Program(ctypes.Structure):
    _fields_ = [("len", ctypes.c_uint), ("insns", ctypes.POINTER(_Insn))]


class _Header(ctypes.Structure):
    _fields_ = [("sec", ctypes.c_long), ("usec", ctypes.c_long), ("caplen", ctypes.c_uint32),
                ("len", ctypes.c_uint32)]


_pcap.pcap_compile.argtypes = [ctypes.c_void_p, ctypes.POINTER(_Program), ctypes.c_char_p,
                               ctypes.c_int, ctypes.c_uint32]
_pcap.pcap_offline_filter.argtypes = [ctypes.POINTER(_Program), ctypes.POINTER(_Header),
                                      ctypes.c_char_p]
_pcap.pcap_freecode.argtypes = [ctypes.POINTER(_Program)]
_handles = {link: _pcap.pcap_open_dead(link, SNAPLEN) for link in (ETHERNET, RAW_IP, COOKED)}


class Refused(Exception):
    """libpcap does not compile the expression."""


class Filter:
    """An expression over packets as a file has them: Ethernet frames with their tags."""

    def __init__(self, text, link=ETHERNET):
        self._program = _Program()
        if link not in _handles:
            _handles[link] = _pcap.pcap_open_dead(link, SNAPLEN)
        handle = _handles[link]
        if _pcap.pcap_compile(handle, self._program, text.encode(), 1, NETMASK_UNKNOWN) != 0:
            self._program = None
            raise Refused(_pcap.pcap_geterr(handle).decode())
        self.size = self._program.len

    def reads_unwritten(self):
        """
        Is there a path on which a scratch word is read before it is written?

        libpcap 1.10 makes such programs where terms that follow "geneve" can
        be reached past it: its own verdict on them is left to chance, and
        the kernel does not take them.
        """
        LD, LDX, ST, STX, JMP, RET, MEM, ALL = 0, 1, 2, 3, 5, 6, 0x60, 0xFFFF
        written = [ALL] * (self.size + 1)
        written[0] = 0
        for pc in range(self.size):
            insn, now = self._program.insns[pc], written[pc]
            kind = insn.code & 7
            if kind in (LD, LDX) and insn.code & 0xE0 == MEM and not now >> insn.k & 1:
                return True
            if kind in (ST, STX):
                now |= 1 << insn.k
            targets = [pc + 1]
            if kind == JMP:
                steps = (insn.jt, insn.jf) if insn.code & 0xF0 else (insn.k,)
                targets = [pc + 1 + step for step in steps]
            elif kind == RET:
                targets = []
            for target in targets:
                written[target] &= now
        return False

    def matches(self, data):
        header = _Header(0, 0, len(data), len(data))
        return _pcap.pcap_offline_filter(self._program, header, data) != 0

    def __del__(self):
        if self._program is not None:
            _pcap.pcap_freecode(self._program)
