"""What outlives the file: an invisible watermark, a perceptual fingerprint, and the registry both lead to.

    watermark     a 40-bit id drawn into the pixels before they are checked and signed
    fingerprint   256 bits of what the picture looks like
    registry      every signed manifest, by watermark id and by fingerprint (sqlite)
    binding       both as C2PA soft-binding assertions
    statement     what a registered manifest says, if its entry says the same
    recovery      a stripped copy -> its manifest: recovered, never trusted
    layer         what a signer needs of these: mark before the check, register after the signature

Importing this package imports nothing; its modules need numpy, which the rest of the verifier does without.
"""
