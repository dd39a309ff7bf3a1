"""An independent Modbus RTU slave: libmodbus by ctypes, in a process of its own.

    python libmodbus_slave.py PORT ADDRESS REGISTERS     REGISTERS: hex, four digits a register, from register 0 on

It has as many coils, all 0. Prints "ready" and answers until it is killed; after every request that writes it prints
"function FUNCTION coils 0101… registers HEX", as it then holds them.
"""

import ctypes
import struct
import sys

LIBRARY = "libmodbus.so.5"


class Mapping(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in ("nb_bits", "start_bits", "nb_input_bits", "start_input_bits", "nb_input_registers",
                                            "start_input_registers", "nb_registers", "start_registers")),
        ("tab_bits", ctypes.POINTER(ctypes.c_uint8)), ("tab_input_bits", ctypes.c_void_p),
        ("tab_input_registers", ctypes.POINTER(ctypes.c_uint16)), ("tab_registers", ctypes.POINTER(ctypes.c_uint16)),
    ]  # fmt: skip


def main(port: str, address: int, registers: tuple[int, ...]) -> None:
    library = ctypes.CDLL(LIBRARY, use_errno=True)
    library.modbus_new_rtu.restype = library.modbus_mapping_new.restype = ctypes.c_void_p
    library.modbus_new_rtu.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_char, ctypes.c_int, ctypes.c_int]
    context = ctypes.c_void_p(library.modbus_new_rtu(port.encode(), 9600, b"N", 8, 1))
    if library.modbus_set_slave(context, address) or library.modbus_connect(context):
        sys.exit(f"libmodbus cannot open {port}: {ctypes.get_errno()}")
    mapping = ctypes.c_void_p(library.modbus_mapping_new(len(registers), 0, len(registers), len(registers)))
    tables = ctypes.cast(mapping, ctypes.POINTER(Mapping)).contents
    for place, value in enumerate(registers):
        tables.tab_registers[place] = tables.tab_input_registers[place] = value
    print("ready", flush=True)
    query = (ctypes.c_uint8 * 260)()
    while True:
        size = library.modbus_receive(context, query)
        if size > 0:
            library.modbus_reply(context, query, size, mapping)
        if size > 0 and query[1] in (5, 6, 15, 16):
            coils = "".join(str(tables.tab_bits[place]) for place in range(len(registers)))
            words = "".join(f"{tables.tab_registers[place]:04x}" for place in range(len(registers)))
            print(f"function {query[1]} coils {coils} registers {words}", flush=True)


if __name__ == "__main__":
    held = bytes.fromhex(sys.argv[3])
    main(sys.argv[1], int(sys.argv[2]), struct.unpack(f">{len(held) // 2}H", held))
