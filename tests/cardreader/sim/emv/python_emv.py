"""Pays with python-emv (PyPI ``emv``, somebody else's): what it reads and what the card answers, as lines of JSON.

Run in a process of its own, with the folder that set-up installs python-emv into on its path. After the first line
it waits for EXTERNAL AUTHENTICATE in hex digits.
"""

import json
import sys


def tell(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def pay(reader_name: str, wanted: dict[str, str]) -> None:
    # Only that process has python-emv; everybody else must be able to import this module all the same.
    import smartcard.System
    from emv.card import Card
    from emv.protocol.command import GenerateApplicationCryptogramCommand as GenerateAc
    from emv.protocol.data import Tag
    from smartcard.CardConnection import CardConnection

    reader = next(one for one in smartcard.System.readers() if one.name == reader_name)
    connection = reader.createConnection()
    connection.T0_protocol = CardConnection.T0_protocol  # it stood here in the pyscard that python-emv knows
    card = Card(connection)
    values = {Tag(list(bytes.fromhex(tag))): list(bytes.fromhex(value)) for tag, value in wanted.items()}
    application = card.list_applications()[0]
    card.select_application(application[Tag.ADF_NAME])
    options = card.get_processing_options()
    data = card.get_application_data(options["AFL"])
    card.verify_pin("123456")
    first = card.tp.exchange(GenerateAc(GenerateAc.ARQC, data[Tag.CDOL1].serialise(values)))
    tell(
        application=bytes(application[Tag.ADF_NAME]).hex(),
        pan=bytes(data[Tag.PAN]).hex(),
        metadata=card.get_metadata(),
        arqc=bytes(first.data[Tag.RMTF1]).hex(),
    )
    _, sw1, sw2 = card.tp.transmit(list(bytes.fromhex(sys.stdin.readline())))
    last = card.tp.exchange(GenerateAc(GenerateAc.TC, data[Tag.CDOL2].serialise(values)))
    tell(authenticated=f"{sw1:02X}{sw2:02X}", tc=bytes(last.data[Tag.RMTF1]).hex())


if __name__ == "__main__":
    pay(sys.argv[1], json.loads(sys.argv[2]))
