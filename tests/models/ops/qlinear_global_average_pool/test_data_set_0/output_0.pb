By0J
bz«J<Nh_mB