import ctypes
from bench.pipeline import *
from bench.pipeline import burst
ctypes.CDLL(None).unshare(0x40000000)
burst()
